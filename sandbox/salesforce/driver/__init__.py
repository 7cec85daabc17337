"""Random lives of an org: histories of steps from a seed, played in process or against a running sandbox."""
