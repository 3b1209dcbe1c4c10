package io.github.jmeterwebrtc.jmeter.dropin;

import java.awt.Font;
import java.util.Locale;
import javax.swing.JTextArea;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.util.JMeterUtils;
import org.apache.jmeter.visualizers.SamplerResultTab;

/**
 * "Binary" in the list of View Results Tree: the response in hexadecimal, as text beside it, of data of any kind.
 *
 * <p>JMeter finds it by looking for renderers in {@code lib/ext}. The panel of a plugin that is installed too keeps its name.
 */
public class RenderAsBinary extends SamplerResultTab {
    /** JMeter property: how much of a response is shown, bytes (default 1 MB, at least {@value #LEAST_SHOWN}). */
    static final String MOST_SHOWN = "view.results.tree.max_binary_size";
    static final int LEAST_SHOWN = 64;

    private static final int MOST_SHOWN_BY_DEFAULT = 1 << 20;
    private static final int PER_LINE = 16;
    private static final int FONT_SIZE = 12;
    private static final String ORIGINAL = "eu.luminis.jmeter.visualizers.RenderAsBinary";

    private final JTextArea area = new JTextArea();

    /** Makes one; JMeter does that once for each View Results Tree. */
    public RenderAsBinary() {
        area.setEditable(false);
        area.setFont(new Font(Font.MONOSPACED, Font.PLAIN, FONT_SIZE));
    }

    @Override
    public void renderResult(SampleResult sampleResult) {
        show(sampleResult);
    }

    /** JMeter calls whatever is no text an image. */
    @Override
    public void renderImage(SampleResult sampleResult) {
        show(sampleResult);
    }

    @Override
    public void clearData() {
        super.clearData();
        area.setText("");
    }

    /** The name in the list. */
    @Override
    public String toString() {
        return isInstalled(ORIGINAL) ? "Binary (jmeter-webrtc)" : "Binary";
    }

    private void show(SampleResult sampleResult) {
        area.setText(dump(sampleResult.getResponseData(),
                Math.max(LEAST_SHOWN, JMeterUtils.getPropDefault(MOST_SHOWN, MOST_SHOWN_BY_DEFAULT))));
        area.setCaretPosition(0);
        resultsScrollPane.setViewportView(area);
    }

    /** What the area shows. */
    String shown() {
        return area.getText();
    }

    /** Lines of offset, bytes and characters; what is not ASCII is a dot. Pure. */
    static String dump(byte[] data, int most) {
        int end = Math.min(data.length, most);
        StringBuilder lines = new StringBuilder();
        for (int start = 0; start < end; start += PER_LINE) {
            lines.append(String.format(Locale.ROOT, "%08x ", start));
            StringBuilder text = new StringBuilder();
            for (int i = start; i < start + PER_LINE; i++) {
                if (i < end) {
                    lines.append(' ').append(digit(data[i] >> 4)).append(digit(data[i]));
                    text.append(data[i] >= ' ' && data[i] <= '~' ? (char) data[i] : '.');
                } else {
                    lines.append("   ");
                }
            }
            lines.append("  ").append(text).append('\n');
        }
        if (end < data.length) {
            lines.append(String.format(Locale.ROOT, "… the first %,d of %,d bytes; %s says how many are shown\n", end, data.length,
                    MOST_SHOWN));
        }
        return lines.toString();
    }

    private static char digit(int bits) {
        return Character.forDigit(bits & 0xf, PER_LINE);
    }

    private static boolean isInstalled(String renderer) {
        try {
            Class.forName(renderer, false, RenderAsBinary.class.getClassLoader());
            return true;
        } catch (ClassNotFoundException e) {
            return false;
        }
    }
}
