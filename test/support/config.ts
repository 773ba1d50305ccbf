/** Sizes and seed of tests that can be run small, the same at every change, or large and new, at night. */
export const isNightly = process.env["BRANCHLINE_NIGHTLY"] === "1";

/** Cases of a property over whole worlds. */
export const WORLD_CASES = isNightly ? 10_000 : 500;
/** For them on a busy machine. */
export const WORLD_TIMEOUT_MS = isNightly ? 1_800_000 : 60_000;
/** Where random cases begin; undefined: anywhere, and fast-check prints where when a case fails. */
export const CASE_SEED: number | undefined = isNightly ? undefined : 20_261_121;
