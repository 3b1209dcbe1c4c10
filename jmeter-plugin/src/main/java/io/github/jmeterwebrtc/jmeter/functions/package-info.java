/** Functions that put live session descriptions, candidates and call states into texts of a plan, above all into scripts. */
package io.github.jmeterwebrtc.jmeter.functions;
