/** Runs before every test file: a gate tries the same random cases each time, or its verdict is a lottery. */
import fc from "fast-check";
import { CASE_SEED } from "./config.ts";

fc.configureGlobal(CASE_SEED === undefined ? {} : { seed: CASE_SEED });
