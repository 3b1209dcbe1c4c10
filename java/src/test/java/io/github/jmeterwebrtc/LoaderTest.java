package io.github.jmeterwebrtc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(120)
class LoaderTest {
    private static final Path LIBRARY = Paths.get(System.getProperty(NativeLibrary.PATH_PROPERTY));

    @TempDir
    Path directory;

    private static String load(String... options) throws Exception {
        return ChildJvm.run(Arrays.asList(options), LoadMain.class).output.trim();
    }

    private static String path(Path library) {
        return "-D" + NativeLibrary.PATH_PROPERTY + "=" + library;
    }

    /** A class path whose jar (here a directory) has the library for this platform inside. */
    private String classPathWithLibrary() throws Exception {
        Path platform = directory.resolve("jar/native/" + NativeLibrary.platform());
        Files.createDirectories(platform);
        Files.createSymbolicLink(platform.resolve(System.mapLibraryName("jmeter_webrtc")), LIBRARY.toRealPath());
        // What the build has put among the resources is a library too; this one must be found first.
        return directory.resolve("jar") + File.pathSeparator + System.getProperty("java.class.path");
    }

    private String loadFromJar(String classPath, Path copies) throws Exception {
        String option = "-D" + NativeLibrary.DIRECTORY_PROPERTY + "=" + copies;
        return ChildJvm.run(Arrays.asList(option), classPath, LoadMain.class).output.trim();
    }

    private static List<Path> files(Path directory) throws Exception {
        try (Stream<Path> list = Files.list(directory)) {
            return list.collect(Collectors.toList());
        }
    }

    @Test
    void aLibraryThatIsNamedIsLoaded() throws Exception {
        assertEquals("loaded 0.1.0", load(path(LIBRARY)));
    }

    @Test
    void aMissingLibraryIsASentence() throws Exception {
        String said = load(path(directory.resolve("none.so")));
        assertTrue(said.startsWith("unavailable: webrtc.native.path="), said);
        assertTrue(said.contains("is no file"), said);
    }

    @Test
    void aTruncatedLibraryIsASentenceAndTheJvmLives() throws Exception {
        byte[] whole = Files.readAllBytes(LIBRARY);
        for (int length : new int[] {0, 10, 64, 4096, whole.length / 2, whole.length - 1}) {
            Path cut = Files.write(directory.resolve("cut-" + length + ".so"), Arrays.copyOf(whole, length));
            String said = load(path(cut));
            assertTrue(said.contains("truncated"), length + " bytes: " + said);
        }
    }

    @Test
    void aLibraryForAnotherProcessorIsASentence() throws Exception {
        byte[] foreign = Files.readAllBytes(LIBRARY);
        foreign[18] = (byte) 243;
        String said = load(path(Files.write(directory.resolve("foreign.so"), foreign)));
        assertTrue(said.contains("was built for riscv64"), said);
    }

    @Test
    void aFileThatIsNoLibraryIsASentence() throws Exception {
        Path text = Files.write(directory.resolve("text.so"), new byte[8192]);
        String said = load(path(text));
        assertTrue(said.contains("no Linux library"), said);
    }

    @Test
    void anUnknownPlatformIsASentenceThatSaysWhatToSet() throws Exception {
        String said = load("-Dos.arch=sparc");
        assertTrue(said.contains("no native library for linux-sparc"), said);
        assertTrue(said.contains("Set -Dwebrtc.native.path"), said);
    }

    @Test
    void theLibraryInTheJarIsCopiedOnceUnderTheNameOfItsContent() throws Exception {
        Path copies = directory.resolve("copies");
        String classPath = classPathWithLibrary();
        assertEquals("loaded 0.1.0", loadFromJar(classPath, copies));
        assertEquals("loaded 0.1.0", loadFromJar(classPath, copies));
        List<Path> files = files(copies);
        assertEquals(1, files.size(), files.toString());
        assertTrue(files.get(0).getFileName().toString().matches("libjmeter_webrtc-[0-9a-f]{16}\\.so"), files.toString());
        assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(copies)));
    }

    @Test
    void aDamagedCopyIsRepaired() throws Exception {
        Path copies = directory.resolve("copies");
        String classPath = classPathWithLibrary();
        assertEquals("loaded 0.1.0", loadFromJar(classPath, copies));
        Path copy = files(copies).get(0);
        Files.setPosixFilePermissions(copy, PosixFilePermissions.fromString("rw-------"));
        Files.write(copy, new byte[100]);
        assertEquals("loaded 0.1.0", loadFromJar(classPath, copies));
        assertEquals(Files.size(LIBRARY), Files.size(copy));
    }

    @Test
    void copiesOfOtherVersionsGoAfterAMonthAndNothingElseDoes() throws Exception {
        Path copies = Files.createDirectory(directory.resolve("copies"),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        FileTime old = FileTime.fromMillis(System.currentTimeMillis() - TimeUnit.DAYS.toMillis(31));
        Path oldCopy = Files.createFile(copies.resolve("libjmeter_webrtc-0123456789abcdef.so"));
        Path oldDraft = Files.createFile(copies.resolve("draft-1.tmp"));
        Path foreign = Files.createFile(copies.resolve("notes.txt"));
        Path fresh = Files.createFile(copies.resolve("libjmeter_webrtc-fedcba9876543210.so"));
        for (Path file : Arrays.asList(oldCopy, oldDraft, foreign)) {
            Files.setLastModifiedTime(file, old);
        }
        assertEquals("loaded 0.1.0", loadFromJar(classPathWithLibrary(), copies));
        assertFalse(Files.exists(oldCopy));
        assertFalse(Files.exists(oldDraft));
        assertTrue(Files.exists(foreign));
        assertTrue(Files.exists(fresh));
    }

    @Test
    void severalJvmsAtOnceLeaveOneCopy() throws Exception {
        Path copies = directory.resolve("copies");
        String classPath = classPathWithLibrary();
        List<Process> processes = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            String option = "-D" + NativeLibrary.DIRECTORY_PROPERTY + "=" + copies;
            processes.add(ChildJvm.start(Arrays.asList(option), classPath, LoadMain.class));
        }
        for (Process process : processes) {
            byte[] said = new byte[200];
            int length = Math.max(0, process.getInputStream().read(said));
            assertEquals("loaded 0.1.0", new String(said, 0, length, "UTF-8").trim());
            assertEquals(0, process.waitFor());
        }
        assertEquals(1, files(copies).size());
    }

    @Test
    void aDirectoryWhereOthersMayWriteIsRefused() throws Exception {
        Path open = Files.createDirectory(directory.resolve("open"));
        Files.setPosixFilePermissions(open, PosixFilePermissions.fromString("rwxrwxrwx"));
        String said = loadFromJar(classPathWithLibrary(), open);
        assertTrue(said.contains("others may write there"), said);
        assertTrue(said.contains("-Dwebrtc.native.dir"), said);
    }

    @Test
    void twoCopiesOfTheJarAreASentence() throws Exception {
        ChildJvm child = ChildJvm.run(Arrays.asList(path(LIBRARY)), TwoLoadersMain.class);
        String[] lines = child.output.trim().split("\n");
        assertEquals("loaded 0.1.0", lines[0], child.output);
        assertTrue(lines[1].contains("two copies of the jar"), child.output);
    }

    @Test
    void aLibraryThatKnowsMoreThanTheJarIsASentence() throws Exception {
        String jar = jarWith("static native void closeSession(long session);", "static void closeSession(long session) { }");
        String said = ChildJvm.run(Arrays.asList(path(LIBRARY)), jar, LoadMain.class).output.trim();
        assertTrue(said.contains("native library 0.1.0 does not match this jar"), said);
        assertTrue(said.contains("closeSession"), said);
        assertFalse(said.contains("0xFFFF"), said);
    }

    @Test
    void aLibraryThatKnowsLessThanTheJarDoesNotHideIt() throws Exception {
        String jar = jarWith("static native int abi();", "static native int abi();\n    static native int newer();");
        String said = ChildJvm.run(Arrays.asList(path(LIBRARY)), jar, LoadMain.class).output.trim();
        assertEquals("loaded 0.1.0", said, "only a call of the new function fails; the ABI number tells the change");
    }

    @Test
    void anotherAbiNumberIsASentence() throws Exception {
        String jar = jarWith("static final int ABI = " + Native.ABI + ";", "static final int ABI = 99;");
        String said = ChildJvm.run(Arrays.asList(path(LIBRARY)), jar, LoadMain.class).output.trim();
        assertTrue(said.contains("it speaks ABI " + Native.ABI + ", the jar speaks 99"), said);
    }

    /** A class path in front of which the main classes stand with one change to {@code Native}. */
    private String jarWith(String original, String changed) throws Exception {
        Path sources = Paths.get("src/main/java/io/github/jmeterwebrtc");
        Path changedSource = directory.resolve("Native.java");
        String text = new String(Files.readAllBytes(sources.resolve("Native.java")), "UTF-8");
        assertTrue(text.contains(original), original);
        Files.write(changedSource, text.replace(original, changed).getBytes("UTF-8"));
        Path classes = Files.createDirectory(directory.resolve("changed"));
        List<String> arguments = new ArrayList<>(Arrays.asList("-d", classes.toString(), "-nowarn", "-proc:none", "-cp",
                System.getProperty("java.class.path"), changedSource.toString()));
        for (Path source : files(sources)) {
            if (!source.endsWith("Native.java")) {
                arguments.add(source.toString());
            }
        }
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        assertEquals(0, compiler.run(null, null, null, arguments.toArray(new String[0])));
        return classes + File.pathSeparator + System.getProperty("java.class.path");
    }

    @Test
    void theLinkersWordsBecomeSentencesWithARemedy() {
        Path file = Paths.get("/tmp/dir/lib.so");
        assertExplained(file, "/tmp/dir/lib.so: failed to map segment from shared object", "mounted noexec", true);
        assertExplained(file, "/lib/libc.so.6: version `GLIBC_2.34' not found (required by lib.so)", "too old", false);
        assertExplained(file, "lib.so: libc.musl-x86_64.so.1: cannot open shared object file",
                "another C library", false);
        assertExplained(file, "Native Library lib.so already loaded in another classloader", "two copies", false);
        assertExplained(file, "something new", "something new", false);
    }

    private static void assertExplained(Path file, String words, String expected, boolean elsewhere) {
        NativeLibrary.LoadFailure failure =
                NativeLibrary.LoadFailure.explain(file, new UnsatisfiedLinkError(words));
        assertTrue(failure.sentence.contains(expected), failure.sentence);
        assertEquals(elsewhere, failure.elsewhereMayWork, failure.sentence);
    }
}
