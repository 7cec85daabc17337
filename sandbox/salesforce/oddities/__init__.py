"""What real orgs do now and then, on command: late, lost, doubled, merged and unclear events, and the rest."""
