package io.github.jmeterwebrtc.jmeter.report;

import io.github.jmeterwebrtc.jmeter.result.Columns;
import java.util.Collections;
import org.apache.jmeter.report.core.Sample;
import org.apache.jmeter.report.processor.AggregatorFactory;
import org.apache.jmeter.report.processor.SumAggregatorFactory;

/** Failed samples: one series for each cause. */
public final class FailuresGraph extends ColumnGraph {
    @Override
    Iterable<String> series(Sample sample) {
        String cause = text(sample, Columns.CAUSE);
        return sample.getSuccess() || cause.isEmpty() || "null".equals(cause)
                ? Collections.emptyList()
                : Collections.singletonList(cause);
    }

    @Override
    Double value(String series, Sample sample) {
        return 1.0;
    }

    @Override
    AggregatorFactory aggregator() {
        return new SumAggregatorFactory();
    }
}
