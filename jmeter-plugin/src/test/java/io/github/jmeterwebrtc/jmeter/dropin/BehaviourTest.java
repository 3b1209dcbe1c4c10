package io.github.jmeterwebrtc.jmeter.dropin;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.jmeterwebrtc.jmeter.JMeterHome;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.Predicate;
import org.apache.jmeter.util.JMeterUtils;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class BehaviourTest {
    private static final Map<String, Predicate<Behaviour>> SWITCHES = new LinkedHashMap<>();

    static {
        SWITCHES.put("pong", Behaviour::answersPings);
        SWITCHES.put("end", Behaviour::noticesEnd);
        SWITCHES.put("connection_header", Behaviour::acceptsConnectionList);
        SWITCHES.put("latency", Behaviour::setsLatency);
        SWITCHES.put("dns_cache", Behaviour::usesDnsCache);
        SWITCHES.put("close_echo", Behaviour::echoesClose);
        SWITCHES.put("set_cookie", Behaviour::storesCookies);
        SWITCHES.put("parallel", Behaviour::sharesWithChildren);
        SWITCHES.put("late_mark", Behaviour::marksLateReplies);
    }

    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @AfterEach
    void forgetSettings() {
        SWITCHES.keySet().forEach(name -> JMeterUtils.getJMeterProperties().remove(Behaviour.FIX + name));
        JMeterUtils.getJMeterProperties().remove(Behaviour.COMPAT);
    }

    @Test
    void anyTwoSwitchesTakeAwayTheirOwnDifferencesAndNoOther() {
        for (String one : SWITCHES.keySet()) {
            for (String other : SWITCHES.keySet()) {
                JMeterUtils.setProperty(Behaviour.FIX + one, "false");
                JMeterUtils.setProperty(Behaviour.FIX + other, "false");
                assertEquals(new TreeSet<>(Arrays.asList(one, other)), off(), one + " and " + other);
                forgetSettings();
            }
        }
    }

    @Test
    void strictModeTakesAwayAll() {
        JMeterUtils.setProperty(Behaviour.COMPAT, "strict");
        assertEquals(new TreeSet<>(SWITCHES.keySet()), off());
    }

    @Test
    void nothingIsReadInBetweenWhereNothingWouldBeDoneWithIt() {
        List<String> pair = Arrays.asList("pong", "end");
        pair.forEach(name -> JMeterUtils.setProperty(Behaviour.FIX + name, "false"));
        assertEquals(true, Behaviour.ofProperties().readsOnDemand());
        JMeterUtils.getJMeterProperties().remove(Behaviour.FIX + "end");
        assertEquals(false, Behaviour.ofProperties().readsOnDemand());
    }

    private static TreeSet<String> off() {
        Behaviour behaviour = Behaviour.ofProperties();
        TreeSet<String> off = new TreeSet<>();
        SWITCHES.forEach((name, isOn) -> {
            if (!isOn.test(behaviour)) {
                off.add(name);
            }
        });
        return off;
    }
}
