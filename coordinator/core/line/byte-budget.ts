/**
 * What may be sent of one package to one endpoint before something must be wrong: a fetch that never comes to
 * its end would fill the line with more than the package (field: peer sharing that multiplies traffic).
 */

/** Twice the package: one copy, and one more for whatever was lost or broke. */
const BUDGET_FACTOR = 2;
/** Small packages may break off a few times. */
const BUDGET_SLACK_BYTES = 8 * 1024 * 1024;
/** Above this share of what a site needs once, an operator hears of it. */
const ALARM_RATIO = 1.2;
const ALARM_SLACK_BYTES = 1024 * 1024;

export function budgetBytes(wireBytes: number): number {
  return BUDGET_FACTOR * wireBytes + BUDGET_SLACK_BYTES;
}

/** Whether a site was sent more of a package than one copy and its ordinary losses. */
export function isAmplified(originBytes: number, wireBytes: number): boolean {
  return originBytes > ALARM_RATIO * wireBytes + ALARM_SLACK_BYTES;
}
