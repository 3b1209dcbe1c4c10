"""The demo: N softphones through a real JMeter against the lab, and what is said about them afterwards."""
