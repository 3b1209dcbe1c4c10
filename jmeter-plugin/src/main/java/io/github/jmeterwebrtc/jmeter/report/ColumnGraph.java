package io.github.jmeterwebrtc.jmeter.report;

import java.util.Collections;
import java.util.Map;
import org.apache.jmeter.report.core.Sample;
import org.apache.jmeter.report.processor.AggregatorFactory;
import org.apache.jmeter.report.processor.PercentileAggregatorFactory;
import org.apache.jmeter.report.processor.graph.AbstractGraphConsumer;
import org.apache.jmeter.report.processor.graph.AbstractSeriesSelector;
import org.apache.jmeter.report.processor.graph.GroupInfo;
import org.apache.jmeter.report.processor.graph.impl.CustomGraphConsumer;
import org.apache.jmeter.save.CSVSaveService;

/**
 * A graph over time of {@code webrtc_*} columns.
 *
 * <p>JMeter's own custom graph ends the whole report when a column is missing or holds no number; here such a row is left
 * out, so that results of other plans and of other versions can be reported.
 */
abstract class ColumnGraph extends CustomGraphConsumer {
    private static final double PERCENTILE = 95;

    /** The series that a row belongs to. */
    abstract Iterable<String> series(Sample sample);

    /** The value of a row in one of its series; null = none. */
    abstract Double value(String series, Sample sample);

    /** What becomes of the values of one moment. */
    abstract AggregatorFactory aggregator();

    /** The 95th percentile. */
    static AggregatorFactory percentile() {
        PercentileAggregatorFactory factory = new PercentileAggregatorFactory();
        factory.setPercentileIndex(PERCENTILE);
        return factory;
    }

    /** The text in a sample variable's column; empty when there is no such column. */
    final String text(Sample sample, String variable) {
        String quote = CSVSaveService.VARIABLE_NAME_QUOTE_CHAR;
        int column = getConsumedMetadata(0).indexOf(quote + variable + quote);
        String text = column < 0 ? null : sample.getData(column);
        return text == null ? "" : text;
    }

    /** The number in a sample variable's column; null when there is none. */
    final Double number(Sample sample, String variable) {
        String text = text(sample, variable);
        if (text.isEmpty()) {
            return null;
        }
        try {
            return Double.valueOf(text);
        } catch (NumberFormatException e) {
            // A variable that was never set stands as "null" in the file.
            return null;
        }
    }

    @Override
    protected Map<String, GroupInfo> createGroupInfos() {
        AbstractSeriesSelector selector = new AbstractSeriesSelector() {
            @Override
            public Iterable<String> select(Sample sample) {
                return series(sample);
            }
        };
        return Collections.singletonMap(AbstractGraphConsumer.DEFAULT_GROUP,
                new GroupInfo(aggregator(), selector, this::value, false, false));
    }
}
