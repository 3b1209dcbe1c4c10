import io.github.jmeterwebrtc.Engine;
import io.github.jmeterwebrtc.Operation;
import io.github.jmeterwebrtc.Scope;
import java.util.Arrays;
import java.util.concurrent.Callable;

/**
 * Measures what a call through JNI costs, by the public Java API: the best of seven rounds after warm-up, in ns.
 * Run with {@code java -cp "target/jmeter/lib/*:target/jmeter/lib/ext/*" bench/CallCost.java}; prints one JSON object.
 */
public final class CallCost {
    private static final int ROUNDS = 7;

    private CallCost() {
    }

    public static void main(String[] arguments) throws Exception {
        Engine engine = Engine.get();
        Scope scope = engine.openScope(null);
        double operation = best(200_000, () -> {
            Operation made = engine.operation();
            made.close();
            return made;
        });
        double lookup = best(200_000, () -> scope.socket("absent"));
        double snapshot = best(2_000, engine::snapshot);
        scope.close();
        System.out.printf("{\"operation made and closed (2 calls)\": %.1f, \"look-up by name\": %.1f, \"snapshot as JSON\": %.1f}%n",
                operation, lookup, snapshot);
        System.exit(0);
    }

    private static double best(int calls, Callable<?> call) throws Exception {
        double[] nanos = new double[ROUNDS];
        Object last = null;
        for (int round = 0; round < ROUNDS; round++) {
            long from = System.nanoTime();
            for (int i = 0; i < calls; i++) {
                last = call.call();
            }
            nanos[round] = (System.nanoTime() - from) / (double) calls;
        }
        if (nanos.length == 0 && last == null) {
            throw new IllegalStateException("nothing was measured");
        }
        return Arrays.stream(nanos).min().getAsDouble();
    }
}
