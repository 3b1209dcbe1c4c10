package io.github.jmeterwebrtc.jmeter.dropin;

import io.github.jmeterwebrtc.jmeter.websocket.SingleReadSampler;

/** Panel of {@link SingleReadWebSocketSampler}. */
public class SingleReadWebSocketSamplerGui extends DropInSamplerGui {
    private static final long serialVersionUID = 1L;

    /** Builds the panel. */
    public SingleReadWebSocketSamplerGui() {
        super("WebSocket Single Read Sampler",
                "Reads one frame.",
                SingleReadWebSocketSampler::new,
                DropInForms.readTimeout(DropInForms.newOrExisting(false))
                        .section("Response")
                        .choice(SingleReadSampler.DATA_TYPE, "Data type:", new String[] {"Text", "Binary", "Any"},
                                "What kind of frame is expected; another kind is a failure", DropInForms::typeOfOldPlans)
                        .check(SingleReadSampler.OPTIONAL, "Optional read", false,
                                "A read timeout is then a successful sample with response code No response"));
    }
}
