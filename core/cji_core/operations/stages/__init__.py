"""Operations over many machines: `stage` has their stages, `streams` what the tasks of one job read and write."""
