package io.github.jmeterwebrtc.jmeter.run;

import io.github.jmeterwebrtc.jmeter.report.ReportGraphs;
import io.github.jmeterwebrtc.jmeter.result.Columns;
import org.apache.jmeter.util.JMeterUtils;

/** What a plan with WebRTC elements adds to the results of all its samples: columns, and graphs of the HTML report. */
public final class WebRtcResults {
    private WebRtcResults() {
    }

    /** Adds them, once; called when such an element is loaded. */
    public static void prepare() {
        if (Columns.register()) {
            ResultFiles.fitToCommandLine();
            ReportGraphs.register(JMeterUtils.getJMeterProperties());
        }
    }
}
