/** A test, its threads and their waits as the engine sees them; everything that is opened is closed here at the end of its thread or test. */
package io.github.jmeterwebrtc.jmeter.run;
