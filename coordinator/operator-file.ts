/**
 * `operator.json` in the data folder: how the command line on this machine finds its coordinator.
 */
import type { Fleet } from "../protocol/check-in.ts";

export interface OperatorFile {
  /** Where the coordinator listens on this machine; absent until it has run once. */
  readonly url?: string;
  /** Address for other machines, where that is another one. */
  readonly publicUrl?: string;
  readonly token: string;
  readonly fleet: Fleet;
}

export function operatorText(file: OperatorFile): string {
  return `${JSON.stringify(file, undefined, 2)}\n`;
}
