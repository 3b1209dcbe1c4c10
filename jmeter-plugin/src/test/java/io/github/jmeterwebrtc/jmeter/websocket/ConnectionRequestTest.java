package io.github.jmeterwebrtc.jmeter.websocket;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.jmeterwebrtc.jmeter.JMeterHome;
import io.github.jmeterwebrtc.jmeter.run.InvalidElementException;
import org.apache.jmeter.protocol.http.control.Cookie;
import org.apache.jmeter.protocol.http.control.CookieManager;
import org.apache.jmeter.protocol.http.control.Header;
import org.apache.jmeter.protocol.http.control.HeaderManager;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(20)
class ConnectionRequestTest {
    @BeforeAll
    static void home() {
        JMeterHome.use();
    }

    @Test
    void theUrlIsMadeOfItsParts() throws Exception {
        OpenConnectionSampler sampler = sampler();
        sampler.setPath("chat?room=1#top");
        assertEquals("ws://example.org:80/chat?room=1", ConnectionRequest.of(sampler).url());
        sampler.setTLS(true);
        sampler.setServer("::1");
        sampler.setPort(" 8443 ");
        sampler.setPath("");
        assertEquals("wss://[::1]:8443/", ConnectionRequest.of(sampler).url());
    }

    @ParameterizedTest
    @CsvSource({
        "port,           x,       Port number 'x' is not a number.",
        "port,           '',      Port number '' is not a number.",
        "port,           65536,   Port number '65536' is not valid.",
        "port,           0,       Port number '0' is not valid.",
        "connectTimeout, 0,       'Connection timeout ''0'' is not valid; should between 1 and 999999'",
        "connectTimeout, 1000000, 'Connection timeout ''1000000'' is not valid; should between 1 and 999999'",
        "readTimeout,    -1,      'Read timeout ''-1'' is not valid; should between 0 and 9999999'",
        "server,         '',      Server name or IP ('server') is empty.",
        "pingInterval,   1.5,     Ping interval ('pingInterval') '1.5' is not a whole number of seconds.",
    })
    void whatCannotBeUsedIsNamed(String property, String value, String message) {
        OpenConnectionSampler sampler = sampler();
        sampler.setProperty(property, value);
        InvalidElementException refused =
                assertThrows(InvalidElementException.class, () -> ConnectionRequest.of(sampler));
        assertEquals(message, refused.getMessage());
    }

    @Test
    void headersAndCookiesAreSentExceptThoseOfTheHandshake() throws Exception {
        OpenConnectionSampler sampler = sampler();
        HeaderManager headers = new HeaderManager();
        headers.add(new Header("Authorization", "Bearer t"));
        headers.add(new Header("Sec-WebSocket-Key", "mine"));
        headers.add(new Header("Sec-WebSocket-Extensions", "permessage-deflate"));
        headers.add(new Header("", "ignored"));
        sampler.addTestElement(headers);
        CookieManager cookies = new CookieManager();
        cookies.testStarted();
        cookies.add(new Cookie("session", "1", "example.org", "/", false, 0));
        sampler.addTestElement(cookies);

        ConnectionRequest request = ConnectionRequest.of(sampler);
        JsonNode config = new ObjectMapper().readTree(request.json());
        assertEquals("[[\"Cookie\",\"session=1\"],[\"Authorization\",\"Bearer t\"]]", config.path("headers").toString());
        assertTrue(config.path("deflate").asBoolean());
        assertTrue(request.headerLines().contains("Sec-WebSocket-Key: mine\n"));
    }

    @Test
    void innerHeadersWinOverOuterOnesOfTheSameName() throws Exception {
        OpenConnectionSampler sampler = sampler();
        sampler.addTestElement(headers("X-A", "inner"));
        HeaderManager outer = headers("x-a", "outer");
        outer.add(new Header("X-B", "outer"));
        sampler.addTestElement(outer);
        assertEquals("X-A: inner\nX-B: outer\n", ConnectionRequest.of(sampler).headerLines());
        assertEquals(2, outer.size());
    }

    @Test
    void managersAreForgottenBeforeTheNextSample() throws Exception {
        OpenConnectionSampler sampler = sampler();
        for (int i = 0; i < 1000; i++) {
            sampler.clearTestElementChildren();
            sampler.addTestElement(headers("X-A", "1"));
            sampler.addTestElement(headers("X-B", "2"));
        }
        assertEquals("X-A: 1\nX-B: 2\n", ConnectionRequest.of(sampler).headerLines());
    }

    @Test
    void aHeaderWithALineBreakIsRefused() {
        OpenConnectionSampler sampler = sampler();
        sampler.addTestElement(headers("X-A", "1\r\nX-B: 2"));
        InvalidElementException refused =
                assertThrows(InvalidElementException.class, () -> ConnectionRequest.of(sampler));
        assertEquals("Header 'X-A' contains a line break.", refused.getMessage());
    }

    @Test
    void certificatesAreVerifiedUnlessThePlanSaysOtherwise() throws Exception {
        OpenConnectionSampler sampler = sampler();
        assertFalse(config(sampler).has("trust"));
        sampler.setTLS(true);
        assertEquals("system", config(sampler).path("trust").asText());
        sampler.setVerifyCertificate(false);
        assertEquals("all", config(sampler).path("trust").asText());
    }

    @Test
    void keepAliveIsOffUnlessAsked() throws Exception {
        OpenConnectionSampler sampler = sampler();
        assertFalse(config(sampler).has("pingIntervalMs"));
        sampler.setPingInterval("2");
        sampler.setPingText("ping");
        assertEquals(2000, config(sampler).path("pingIntervalMs").asInt());
        assertEquals("ping", config(sampler).path("pingText").asText());
    }

    @ParameterizedTest
    @CsvSource({"http://x/", "ws:///path", "nonsense", "'ws://a b/'"})
    void aSignalingUrlHasToBeAWebSocketUrl(String url) {
        InvalidElementException refused =
                assertThrows(InvalidElementException.class, () -> ConnectionRequest.ofUrl(url, 1000, null));
        assertTrue(refused.getMessage().startsWith("signalingUrl: '" + url + "' is not a "), refused.getMessage());
    }

    @ParameterizedTest
    @CsvSource({
        "localhost,     localhost,       true",
        "LOCALHOST,     localhost|x,     true",
        "127.0.0.1,     localhost,       false",
        "a.example,     b|*,             true",
        "example.org,   *.example.org,   false",
        "a.Example.org, *.example.org,   true",
        "example.org,   '',              false",
    })
    void hostsCanBeExcludedFromTheProxy(String host, String list, boolean excluded) {
        assertEquals(excluded, ProxySettings.isExempt(host, list));
    }

    private static JsonNode config(OpenConnectionSampler sampler) throws Exception {
        return new ObjectMapper().readTree(ConnectionRequest.of(sampler).json());
    }

    private static HeaderManager headers(String name, String value) {
        HeaderManager headers = new HeaderManager();
        headers.add(new Header(name, value));
        return headers;
    }

    private static OpenConnectionSampler sampler() {
        OpenConnectionSampler sampler = new OpenConnectionSampler();
        sampler.setServer("example.org");
        return sampler;
    }
}
