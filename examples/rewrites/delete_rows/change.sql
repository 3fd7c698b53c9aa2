DELETE FROM visits WHERE seen % 3 = 0;
