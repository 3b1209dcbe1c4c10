package io.github.jmeterwebrtc;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLConnection;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/**
 * Brings the native library into this JVM, or says in one sentence why it cannot be done and what to do.
 *
 * <p>The library lies in the jar as {@code /native/<os>-<arch>[-musl]/<file>}. It is copied once into a private directory
 * of the user, under a name that carries its SHA-256, by a temporary file and an atomic rename: a library that is
 * overwritten or cut while a JVM maps it kills that JVM. Copies of the same content are used again; any number of JVMs
 * may do this at once.
 *
 * <p>System properties: {@code webrtc.native.path} names the exact file to load, and nothing else is tried;
 * {@code webrtc.native.dir} names the directory for the copy (default: a private one in {@code java.io.tmpdir}, then
 * {@code ~/.cache/jmeter-webrtc}).
 */
final class NativeLibrary {
    static final String PATH_PROPERTY = "webrtc.native.path";
    static final String DIRECTORY_PROPERTY = "webrtc.native.dir";
    private static final String NAME = "jmeter_webrtc";
    /** The library is read in parts: a small JVM must not need memory for it. */
    private static final int PART = 1 << 16;
    private static final String[] PLATFORMS = {"linux-x86_64", "linux-aarch64", "linux-x86_64-musl",
        "linux-aarch64-musl", "windows-x86_64", "osx-x86_64", "osx-aarch64"};

    private NativeLibrary() {
    }

    /** Loads the library and compares its ABI with this jar's. */
    static void load() {
        String exact = System.getProperty(PATH_PROPERTY);
        if (exact != null && !exact.isEmpty()) {
            loadExactly(exact);
        } else {
            loadFromJar();
        }
        int abi;
        try {
            abi = Native.abi();
        } catch (UnsatisfiedLinkError e) {
            throw unavailable("The native library does not belong to this jar (it lacks " + e.getMessage()
                    + "). Use the library that came with the jar: unset " + PATH_PROPERTY + ".", e);
        }
        if (abi != Native.ABI) {
            throw unavailable("The native library does not belong to this jar: it speaks ABI " + abi + ", the jar speaks "
                    + Native.ABI + ". Use the library that came with the jar: unset " + PATH_PROPERTY
                    + ", and keep one version of the jar in lib/ext.", null);
        }
    }

    private static void loadExactly(String exact) {
        Path file = Paths.get(exact).toAbsolutePath();
        if (!Files.isRegularFile(file)) {
            throw unavailable(PATH_PROPERTY + "=" + exact + " is no file. Set it to the native library itself, or unset it"
                    + " to use the one in the jar.", null);
        }
        LoadFailure failure = tryLoad(file);
        if (failure != null) {
            throw unavailable(failure.sentence, failure.error);
        }
    }

    private static void loadFromJar() {
        String platform = platform();
        String file = System.mapLibraryName(NAME);
        URL resource = NativeLibrary.class.getResource("/native/" + platform + "/" + file);
        if (resource == null) {
            throw unavailable("This jar has no native library for " + platform + " (it has: " + platformsInJar()
                    + "). Set -D" + PATH_PROPERTY + " to a library that was built for this platform.", null);
        }
        String digest;
        try (InputStream in = open(resource)) {
            digest = sha256(in);
        } catch (IOException e) {
            throw unavailable("The native library in the jar cannot be read (" + e.getMessage()
                    + "): the jar is damaged. Put a fresh copy into lib/ext.", e);
        }
        int dot = file.lastIndexOf('.');
        String name = file.substring(0, dot) + "-" + digest.substring(0, 16) + file.substring(dot);
        List<String> refusals = new ArrayList<>();
        Throwable cause = null;
        for (Path directory : directories()) {
            try {
                Path copy = install(directory, name, resource, digest);
                LoadFailure failure = tryLoad(copy);
                if (failure == null) {
                    LoaderLog.debug("native library for " + platform + " loaded from " + copy, null);
                    sweep(directory, copy);
                    return;
                }
                cause = failure.error;
                refusals.add(failure.sentence);
                if (!failure.elsewhereMayWork) {
                    break;
                }
            } catch (IOException e) {
                cause = e;
                refusals.add(directory + ": " + e.getMessage() + ".");
            }
        }
        throw unavailable("The native library cannot be loaded. " + String.join(" ", refusals) + " -D"
                + DIRECTORY_PROPERTY + " names another directory for it.", cause);
    }

    /** {@code <os>-<arch>[-musl]}, in the words that the jar's directories use. */
    static String platform() {
        String os = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
        String arch = System.getProperty("os.arch", "").toLowerCase(Locale.ROOT);
        String system = os.startsWith("linux") ? "linux"
                : os.startsWith("windows") ? "windows" : os.startsWith("mac") ? "osx" : os.replace(' ', '_');
        String processor = arch.equals("amd64") || arch.equals("x86_64") ? "x86_64"
                : arch.equals("aarch64") || arch.equals("arm64") ? "aarch64" : arch;
        return system + "-" + processor + (system.equals("linux") && isMusl() ? "-musl" : "");
    }

    /** Asks what this JVM maps: a glibc host may well have a musl loader lying about. */
    private static boolean isMusl() {
        try {
            for (String line : Files.readAllLines(Paths.get("/proc/self/maps"))) {
                if (line.contains("ld-musl")) {
                    return true;
                }
            }
        } catch (IOException e) {
            LoaderLog.debug("/proc/self/maps cannot be read; assuming glibc", e);
        }
        return false;
    }

    private static String platformsInJar() {
        List<String> found = new ArrayList<>();
        for (String platform : PLATFORMS) {
            for (String file : new String[] {"lib" + NAME + ".so", "lib" + NAME + ".dylib", NAME + ".dll"}) {
                if (NativeLibrary.class.getResource("/native/" + platform + "/" + file) != null) {
                    found.add(platform);
                }
            }
        }
        return found.isEmpty() ? "none at all" : String.join(", ", found);
    }

    private static InputStream open(URL resource) throws IOException {
        URLConnection connection = resource.openConnection();
        // A cached jar connection would be shared with whoever replaces the jar (JDK-8205976).
        connection.setUseCaches(false);
        return connection.getInputStream();
    }

    private static List<Path> directories() {
        String chosen = System.getProperty(DIRECTORY_PROPERTY);
        if (chosen != null && !chosen.isEmpty()) {
            return Arrays.asList(Paths.get(chosen).toAbsolutePath());
        }
        List<Path> directories = new ArrayList<>();
        directories.add(Paths.get(System.getProperty("java.io.tmpdir"), "jmeter-webrtc-" + System.getProperty("user.name")));
        directories.add(Paths.get(System.getProperty("user.home"), ".cache", "jmeter-webrtc"));
        return directories;
    }

    /** The path of a copy with exactly this content; another JVM may be doing the same. */
    private static Path install(Path directory, String name, URL resource, String digest) throws IOException {
        boolean posix = directory.getFileSystem().supportedFileAttributeViews().contains("posix");
        if (!Files.isDirectory(directory)) {
            Files.createDirectories(directory);
            if (posix) {
                Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwx------"));
            }
        }
        if (posix) {
            refuseUnlessPrivate(directory);
        }
        Path copy = directory.resolve(name);
        if (isCopy(copy, digest)) {
            return copy;
        }
        Path draft = Files.createTempFile(directory, "draft-", ".tmp");
        try {
            try (InputStream in = open(resource); FileChannel out = FileChannel.open(draft, StandardOpenOption.WRITE)) {
                byte[] part = new byte[PART];
                for (int n = in.read(part); n >= 0; n = in.read(part)) {
                    ByteBuffer rest = ByteBuffer.wrap(part, 0, n);
                    while (rest.hasRemaining()) {
                        out.write(rest);
                    }
                }
                out.force(true);
            }
            if (!isCopy(draft, digest)) {
                throw new IOException("the jar was replaced while its library was being copied; start again");
            }
            if (posix) {
                Files.setPosixFilePermissions(draft, PosixFilePermissions.fromString("r-x------"));
            }
            try {
                Files.move(draft, copy, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            } catch (AtomicMoveNotSupportedException e) {
                throw e;
            } catch (IOException e) {
                // Windows refuses to replace a library that is in use; the same content there is as good.
                if (!isCopy(copy, digest)) {
                    throw e;
                }
            }
        } finally {
            Files.deleteIfExists(draft);
        }
        return copy;
    }

    /** Removes copies of other versions, and drafts of JVMs that were killed, that are older than a month. */
    private static void sweep(Path directory, Path keep) {
        FileTime monthAgo = FileTime.fromMillis(System.currentTimeMillis() - TimeUnit.DAYS.toMillis(30));
        try (DirectoryStream<Path> files = Files.newDirectoryStream(directory, "{*" + NAME + "-*,draft-*.tmp}")) {
            for (Path file : files) {
                if (!file.equals(keep) && Files.getLastModifiedTime(file).compareTo(monthAgo) < 0) {
                    Files.deleteIfExists(file);
                }
            }
        } catch (IOException | DirectoryIteratorException e) {
            LoaderLog.debug("old copies of the native library stay in " + directory, e);
        }
    }

    /** Nobody else may be able to put a library where we load ours from. */
    private static void refuseUnlessPrivate(Path directory) throws IOException {
        PosixFileAttributes attributes = Files.getFileAttributeView(directory, PosixFileAttributeView.class)
                .readAttributes();
        Set<PosixFilePermission> forbidden =
                EnumSet.of(PosixFilePermission.GROUP_WRITE, PosixFilePermission.OTHERS_WRITE);
        forbidden.retainAll(attributes.permissions());
        if (!forbidden.isEmpty()) {
            throw new IOException("others may write there (" + PosixFilePermissions.toString(attributes.permissions())
                    + "); make it private with chmod 700");
        }
        Path probe = Files.createTempFile(directory, "owner-", ".tmp");
        try {
            String me = Files.getOwner(probe).getName();
            if (!attributes.owner().getName().equals(me)) {
                throw new IOException("it belongs to " + attributes.owner().getName() + ", not to " + me);
            }
        } finally {
            Files.deleteIfExists(probe);
        }
    }

    /** Null when the library is in. */
    private static LoadFailure tryLoad(Path file) {
        try {
            String unfit = ElfFile.whyUnfit(file, System.getProperty("os.name", ""), System.getProperty("os.arch", ""));
            if (unfit != null) {
                return new LoadFailure(file + ": " + unfit, null, false);
            }
            System.load(file.toString());
            return null;
        } catch (UnsatisfiedLinkError e) {
            return LoadFailure.explain(file, e);
        } catch (IOException e) {
            return new LoadFailure(file + " cannot be read (" + e.getMessage() + ").", e, true);
        }
    }

    private static EngineUnavailableException unavailable(String sentence, Throwable cause) {
        return new EngineUnavailableException(sentence, cause);
    }

    private static boolean isCopy(Path file, String digest) throws IOException {
        if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
            return false;
        }
        try (InputStream in = Files.newInputStream(file)) {
            return sha256(in).equals(digest);
        }
    }

    private static String sha256(InputStream in) throws IOException {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            byte[] part = new byte[PART];
            for (int n = in.read(part); n >= 0; n = in.read(part)) {
                digest.update(part, 0, n);
            }
            StringBuilder hex = new StringBuilder(64);
            for (byte b : digest.digest()) {
                hex.append(String.format("%02x", b));
            }
            return hex.toString();
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }

    /** Why one file could not be loaded, and whether the same content might load from another directory. */
    static final class LoadFailure {
        final String sentence;
        final Throwable error;
        final boolean elsewhereMayWork;

        LoadFailure(String sentence, Throwable error, boolean elsewhereMayWork) {
            this.sentence = sentence;
            this.error = error;
            this.elsewhereMayWork = elsewhereMayWork;
        }

        /** Turns the linker's words into a sentence with a remedy. */
        static LoadFailure explain(Path file, UnsatisfiedLinkError error) {
            String words = String.valueOf(error.getMessage());
            File directory = file.toFile().getParentFile();
            if (words.contains("failed to map segment") || words.contains("Operation not permitted")) {
                return new LoadFailure("The directory " + directory + " is on a volume mounted noexec: no program may be"
                        + " run from it.", error, true);
            }
            if (words.contains("already loaded in another classloader")) {
                return new LoadFailure("The library was loaded by another class loader of this JVM already: there are two"
                        + " copies of the jar. Keep one, in lib/ext.", error, false);
            }
            if (words.contains("GLIBC_")) {
                return new LoadFailure("The C library of this system is too old for " + file.getFileName() + " (" + words
                        + "). Use a newer system, or build the library there and name it with -D" + PATH_PROPERTY + ".",
                        error, false);
            }
            if (words.contains("does not match this jar")) {
                return new LoadFailure(words + " Use the library that came with the jar: unset " + PATH_PROPERTY
                        + ", and keep one version of the jar in lib/ext.", error, false);
            }
            if (words.contains("libc.so") || words.contains("musl")) {
                return new LoadFailure(file + " was built for another C library (musl or glibc) than this JVM uses ("
                        + words + ").", error, false);
            }
            return new LoadFailure(file + " cannot be loaded (" + words + ").", error, false);
        }
    }
}
