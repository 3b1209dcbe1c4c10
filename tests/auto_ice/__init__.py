"""Plans that carry canned session descriptions, against servers that want live ones and send real media."""
