/** Auto ICE for samplers of JMeter and of other plugins, and the settings of Auto ICE wherever it works. What a message holds is the engine's business. */
package io.github.jmeterwebrtc.jmeter.autoice;
