"""`umbra doctor` against the simulator, as it is and bent."""
