package io.github.jmeterwebrtc.jmeter.report;

import io.github.jmeterwebrtc.jmeter.result.Columns;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.jmeter.report.core.Sample;
import org.apache.jmeter.report.processor.AggregatorFactory;

/** How long the phases of setting up WebSockets and calls took: one series for each. */
public final class SetUpGraph extends ColumnGraph {
    private static final Map<String, String> PHASES = phases();

    private static Map<String, String> phases() {
        Map<String, String> phases = new LinkedHashMap<>();
        for (String column : Arrays.asList(Columns.GATE_WAIT_MS, Columns.DNS_MS, Columns.TCP_MS, Columns.TLS_MS,
                Columns.UPGRADE_MS, Columns.GATHER_MS, Columns.SIGNALING_MS, Columns.ICE_MS, Columns.DTLS_MS,
                Columns.FIRST_RTP_MS)) {
            phases.put(column.substring(Columns.PREFIX.length()).replaceFirst("Ms$", ""), column);
        }
        return Collections.unmodifiableMap(phases);
    }

    @Override
    Iterable<String> series(Sample sample) {
        List<String> measured = new ArrayList<>();
        PHASES.forEach((phase, column) -> {
            if (number(sample, column) != null) {
                measured.add(phase);
            }
        });
        return measured;
    }

    @Override
    Double value(String series, Sample sample) {
        return number(sample, PHASES.get(series));
    }

    @Override
    AggregatorFactory aggregator() {
        return percentile();
    }
}
