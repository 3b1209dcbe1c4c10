package io.github.jmeterwebrtc.jmeter.run;

import io.github.jmeterwebrtc.jmeter.report.ReportGraphs;
import io.github.jmeterwebrtc.jmeter.result.Columns;
import org.apache.jmeter.util.JMeterUtils;

/** What a plan with WebRTC elements adds to the results of all its samples: columns, and graphs of the HTML report. */
public final class WebRtcResults {
    private WebRtcResults() {
    }

    /** Such an element is loaded. JMeter looks at its graphs before a test starts: it asks for all that a report could have. */
    public static void ofLoadedPlan() {
        if (Columns.areWanted()) {
            ReportGraphs.register(JMeterUtils.getJMeterProperties());
        }
    }

    /**
     * Such an element is turned on. JMeter does that to the elements of a plan when it starts the test, here or on remote
     * workers, before any results file is begun and before listeners are told of the start; elements that are disabled are gone
     * by then.
     */
    public static void ofStartingTest() {
        if (Columns.register()) {
            ResultFiles.fitBeforeTheStart();
        }
    }
}
