/** What the operator of the coordinator may set about containers and wake-ups. */
import { CONTAINER_FAILED_KEPT_MS, CONTAINER_SUCCEEDED_KEPT_MS } from "../../../protocol/limits.ts";
import { WAKE_DEFAULTS, type WakeSettings } from "./wake.ts";

export interface IntentSettings {
  /** How long finished containers stay, by how they ended (OCO-38). */
  readonly kept: { readonly succeededMs: number; readonly failedMs: number };
  /** OCO-10, D11. */
  readonly wake: WakeSettings;
}

export const INTENT_SETTINGS_DEFAULT: IntentSettings = {
  kept: { succeededMs: CONTAINER_SUCCEEDED_KEPT_MS, failedMs: CONTAINER_FAILED_KEPT_MS },
  wake: WAKE_DEFAULTS,
};
