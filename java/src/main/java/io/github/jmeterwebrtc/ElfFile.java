package io.github.jmeterwebrtc;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Locale;

/**
 * Looks at a Linux library (ELF, System V ABI chapter 4) before the linker does: a truncated one would not give an error
 * but end the JVM with SIGBUS.
 */
final class ElfFile {
    private static final int HEADER = 64;
    private static final int PROGRAM_HEADER = 56;
    private static final int PT_LOAD = 1;

    private ElfFile() {
    }

    /**
     * Why the file cannot be a library of this JVM.
     *
     * @return a sentence, or null when nothing speaks against loading it (always null outside Linux)
     */
    static String whyUnfit(Path file, String osName, String osArch) throws IOException {
        if (!osName.toLowerCase(Locale.ROOT).startsWith("linux")) {
            return null;
        }
        try (FileChannel in = FileChannel.open(file, StandardOpenOption.READ)) {
            long size = in.size();
            ByteBuffer header = read(in, 0, HEADER);
            if (header.remaining() < HEADER) {
                return "the file is truncated or no library (" + size + " bytes). Put a fresh copy in its place.";
            }
            if (header.get(0) != 0x7f || header.get(1) != 'E' || header.get(2) != 'L' || header.get(3) != 'F') {
                return "the file is no Linux library (it does not start with the ELF mark).";
            }
            if (header.get(4) != 2 || header.get(5) != 1) {
                return "the file is no 64-bit little-endian library.";
            }
            int machine = header.getShort(18) & 0xffff;
            String built = machineName(machine);
            String wanted = osArch.equals("amd64") ? "x86_64" : osArch;
            if (!built.equals(wanted)) {
                return "the library was built for " + built + ", this JVM runs on " + wanted + ".";
            }
            long needed = sectionTableEnd(header);
            long offset = header.getLong(32);
            int count = header.getShort(56) & 0xffff;
            for (int i = 0; i < count; i++) {
                ByteBuffer segment = read(in, offset + (long) i * PROGRAM_HEADER, PROGRAM_HEADER);
                if (segment.remaining() < PROGRAM_HEADER) {
                    needed = Math.max(needed, offset + (long) count * PROGRAM_HEADER);
                    break;
                }
                if (segment.getInt(0) == PT_LOAD) {
                    needed = Math.max(needed, segment.getLong(8) + segment.getLong(32));
                }
            }
            if (size < needed) {
                return "the file is truncated (" + size + " of at least " + needed
                        + " bytes). Put a fresh copy in its place.";
            }
            return null;
        }
    }

    private static long sectionTableEnd(ByteBuffer header) {
        long sections = header.getLong(40);
        return sections == 0 ? 0 : sections + (long) (header.getShort(58) & 0xffff) * (header.getShort(60) & 0xffff);
    }

    private static String machineName(int machine) {
        switch (machine) {
            case 62:
                return "x86_64";
            case 183:
                return "aarch64";
            case 3:
                return "x86";
            case 40:
                return "arm";
            case 243:
                return "riscv64";
            default:
                return "ELF machine " + machine;
        }
    }

    private static ByteBuffer read(FileChannel in, long offset, int length) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
        long at = offset;
        while (buffer.hasRemaining()) {
            int n = in.read(buffer, at);
            if (n < 0) {
                break;
            }
            at += n;
        }
        buffer.flip();
        return buffer;
    }
}
