/** Panels made of fields that are bound to properties. Nothing here touches the engine. */
package io.github.jmeterwebrtc.jmeter.gui;
