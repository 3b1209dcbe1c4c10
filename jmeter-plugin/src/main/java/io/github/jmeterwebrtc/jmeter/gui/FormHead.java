package io.github.jmeterwebrtc.jmeter.gui;

import java.awt.BorderLayout;
import java.awt.Component;
import java.awt.Container;
import java.awt.Font;
import javax.swing.BorderFactory;
import javax.swing.JLabel;
import javax.swing.JPanel;

/** The head of a panel: JMeter's title, name and comment, and one sentence about the element. */
final class FormHead {
    private FormHead() {
    }

    static Component of(Container title, String about) {
        JPanel head = new JPanel(new BorderLayout(0, 5));
        head.add(title, BorderLayout.CENTER);
        JLabel text = new JLabel("<html>" + about + "</html>");
        text.setFont(text.getFont().deriveFont(Font.ITALIC));
        text.setBorder(BorderFactory.createEmptyBorder(0, 2, 4, 2));
        head.add(text, BorderLayout.SOUTH);
        return head;
    }
}
