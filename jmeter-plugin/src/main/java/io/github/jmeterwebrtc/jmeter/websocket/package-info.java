/** WebSocket samplers with the property names, codes and messages that existing plans rely on. */
package io.github.jmeterwebrtc.jmeter.websocket;
