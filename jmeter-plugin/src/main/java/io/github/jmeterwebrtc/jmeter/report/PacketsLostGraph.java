package io.github.jmeterwebrtc.jmeter.report;

import io.github.jmeterwebrtc.jmeter.result.Columns;
import java.util.Collections;
import org.apache.jmeter.report.core.Sample;
import org.apache.jmeter.report.processor.AggregatorFactory;
import org.apache.jmeter.report.processor.SumAggregatorFactory;

/** Lost RTP packets (W3C {@code packetsLost}): one series for each label, since checks and hang-ups count the same packets. */
public final class PacketsLostGraph extends ColumnGraph {
    @Override
    Iterable<String> series(Sample sample) {
        return number(sample, Columns.PACKETS_LOST) == null
                ? Collections.emptyList()
                : Collections.singletonList(sample.getName());
    }

    @Override
    Double value(String series, Sample sample) {
        return number(sample, Columns.PACKETS_LOST);
    }

    @Override
    AggregatorFactory aggregator() {
        return new SumAggregatorFactory();
    }
}
