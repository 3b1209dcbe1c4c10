package io.github.jmeterwebrtc.jmeter.report;

import io.github.jmeterwebrtc.jmeter.result.Columns;
import java.util.Collections;
import org.apache.jmeter.report.core.Sample;
import org.apache.jmeter.report.processor.AggregatorFactory;

/** Interarrival jitter (RFC 3550 6.4.1): one series for each label. */
public final class JitterGraph extends ColumnGraph {
    @Override
    Iterable<String> series(Sample sample) {
        return number(sample, Columns.JITTER_MS) == null
                ? Collections.emptyList()
                : Collections.singletonList(sample.getName());
    }

    @Override
    Double value(String series, Sample sample) {
        return number(sample, Columns.JITTER_MS);
    }

    @Override
    AggregatorFactory aggregator() {
        return percentile();
    }
}
