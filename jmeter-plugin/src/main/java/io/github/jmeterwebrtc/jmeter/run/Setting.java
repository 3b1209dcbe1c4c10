package io.github.jmeterwebrtc.jmeter.run;

/** Turns the texts of a plan's fields into values; refuses by field name and value. Pure. */
public final class Setting {
    private Setting() {
    }

    /**
     * A whole number.
     *
     * @param field name of the field, for the message
     * @param value its text; spaces around it are ignored
     * @param least smallest accepted
     * @param most largest accepted
     * @param absent value of an empty text
     * @return the number
     * @throws InvalidElementException naming field and value
     */
    public static long number(String field, String value, long least, long most, long absent)
            throws InvalidElementException {
        String trimmed = value.trim();
        if (trimmed.isEmpty()) {
            return absent;
        }
        long number;
        try {
            number = Long.parseLong(trimmed);
        } catch (NumberFormatException e) {
            throw new InvalidElementException(field + ": '" + value + "' is not a whole number");
        }
        if (number < least || number > most) {
            throw new InvalidElementException(field + ": '" + value + "' is not between " + least + " and " + most);
        }
        return number;
    }

    /**
     * A decimal number, not negative.
     *
     * @param field name of the field, for the message
     * @param value its text; spaces around it are ignored
     * @return null for an empty text
     * @throws InvalidElementException naming field and value
     */
    public static Double decimal(String field, String value) throws InvalidElementException {
        String trimmed = value.trim();
        if (trimmed.isEmpty()) {
            return null;
        }
        double number;
        try {
            number = Double.parseDouble(trimmed);
        } catch (NumberFormatException e) {
            throw new InvalidElementException(field + ": '" + value + "' is not a number");
        }
        if (!(number >= 0) || Double.isInfinite(number)) {
            throw new InvalidElementException(field + ": '" + value + "' is not a number from 0 up");
        }
        return number;
    }

    /**
     * True or false.
     *
     * @param field name of the field, for the message
     * @param value its text; spaces around it are ignored
     * @return null for an empty text
     * @throws InvalidElementException naming field and value
     */
    public static Boolean flag(String field, String value) throws InvalidElementException {
        switch (value.trim()) {
            case "":
                return null;
            case "true":
                return Boolean.TRUE;
            case "false":
                return Boolean.FALSE;
            default:
                throw new InvalidElementException(field + ": '" + value + "' is not true or false");
        }
    }
}
