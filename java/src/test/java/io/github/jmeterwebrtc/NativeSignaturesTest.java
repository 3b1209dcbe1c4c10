package io.github.jmeterwebrtc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class NativeSignaturesTest {
    /** Loading fails when the library registers more than Java declares; a method it lacks fails when it is called. */
    @Test
    void javaDeclaresExactlyTheNativesThatTheLibraryRegisters() throws ReflectiveOperationException {
        Engine.get();
        List<String> missing = new ArrayList<>();
        int natives = 0;
        for (Method method : Native.class.getDeclaredMethods()) {
            if (!Modifier.isNative(method.getModifiers())) {
                continue;
            }
            natives++;
            assertTrue(Modifier.isStatic(method.getModifiers()), method + " is static");
            try {
                method.setAccessible(true);
                method.invoke(null, harmlessArguments(method));
            } catch (java.lang.reflect.InvocationTargetException e) {
                if (e.getCause() instanceof UnsatisfiedLinkError) {
                    missing.add(method.getName());
                }
            }
        }
        assertEquals(new ArrayList<String>(), missing);
        assertTrue(natives > 40, natives + " natives");
    }

    /** Handles that name nothing, and null arrays: every function answers with an exception or does nothing. */
    private static Object[] harmlessArguments(Method method) {
        Class<?>[] types = method.getParameterTypes();
        Object[] arguments = new Object[types.length];
        for (int i = 0; i < types.length; i++) {
            if (types[i] == long.class) {
                arguments[i] = 0L;
            } else if (types[i] == int.class) {
                arguments[i] = 3;
            } else if (types[i] == boolean.class) {
                arguments[i] = false;
            }
        }
        return arguments;
    }
}
