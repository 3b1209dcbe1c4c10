package io.github.jmeterwebrtc;

import java.io.File;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.List;

/** Loads the same classes in two class loaders, as two copies of the jar would be. */
public final class TwoLoadersMain {
    private TwoLoadersMain() {
    }

    /**
     * The entry.
     *
     * @param arguments none
     * @throws Exception when reflection fails
     */
    public static void main(String[] arguments) throws Exception {
        List<URL> urls = new ArrayList<>();
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
            urls.add(new File(entry).toURI().toURL());
        }
        ClassLoader platform = ClassLoader.getSystemClassLoader().getParent();
        for (int i = 0; i < 2; i++) {
            try (URLClassLoader copy = new URLClassLoader(urls.toArray(new URL[0]), platform)) {
                copy.loadClass(LoadMain.class.getName()).getMethod("main", String[].class)
                        .invoke(null, (Object) new String[0]);
            }
        }
    }
}
