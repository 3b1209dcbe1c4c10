package io.github.jmeterwebrtc.jmeter.softphone;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.jmeterwebrtc.jmeter.JMeterHome;
import java.io.File;
import org.apache.jmeter.samplers.Interruptible;
import org.apache.jmeter.samplers.SampleResult;
import org.apache.jmeter.threads.JMeterContextService;
import org.apache.jmeter.threads.JMeterVariables;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(30)
class RegisterSamplerTest {
    @BeforeAll
    static void home() {
        JMeterHome.use();
        JMeterContextService.getContext().setVariables(new JMeterVariables());
    }

    @Test
    void aNameStaysANameAndAFileGetsItsWholePath() {
        assertEquals("genesys", RegisterSampler.profileOf("genesys"));
        assertEquals("/my/own.json", RegisterSampler.profileOf("/my/own.json"));
        assertTrue(new File(RegisterSampler.profileOf("own.json")).isAbsolute());
        assertTrue(RegisterSampler.profileOf("profiles/own").endsWith("profiles" + File.separator + "own"));
    }

    @Test
    void certificatesAreVerifiedUnlessTurnedOff() {
        assertTrue(new RegisterSampler().getVerifyCertificate());
    }

    @Test
    void itCanBeInterrupted() {
        Interruptible sampler = new RegisterSampler();
        assertFalse(sampler.interrupt(), "nothing is in progress");
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', value = {
        "profile; ; profile: it is empty; ",
        "timeout; soon; timeout: 'soon' is not a whole number; ",
        "parameters; token; parameters: line 1 is not name=value; ",
    })
    void aBadFieldIsASampleThatNamesIt(String property, String value, String message) {
        RegisterSampler sampler = new RegisterSampler();
        sampler.setProfile("genesys");
        sampler.setProperty(property, value == null ? "" : value);
        SampleResult result = sampler.sample(null);
        assertFalse(result.isSuccessful());
        assertEquals("CONFIG", result.getResponseCode());
        assertTrue(result.getResponseMessage().startsWith(message), result.getResponseMessage());
    }
}
