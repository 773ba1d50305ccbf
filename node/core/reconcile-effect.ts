/** What the reconcile step asks its driver to do. */
import type { Hold } from "./holds.ts";
import type { PowerNeed } from "./power.ts";
import type { ReconcileState, Wish } from "./reconcile-state.ts";

export type ReconcileEffect =
  /** Read and verify the manifest, fetch the content. */
  | { readonly type: "fetch"; readonly wish: Wish }
  /** Nobody needs what is being fetched any more. */
  | { readonly type: "cancel"; readonly wish: Wish }
  /** Done before: its content is offered to the site's peers again. */
  | { readonly type: "serve"; readonly wish: Wish }
  /** Its attempts no longer count. */
  | { readonly type: "forget"; readonly wish: Wish }
  | { readonly type: "execute"; readonly wish: Wish; readonly attempt: number }
  /** Its content is here, and this is what it waits for; told once per reason. */
  | { readonly type: "hold"; readonly wish: Wish; readonly hold: Hold }
  /** OCO-6. */
  | { readonly type: "expire"; readonly wish: Wish }
  /** OCO-48. */
  | { readonly type: "abort"; readonly wish: Wish; readonly by: string }
  /** Tell the system to go down. */
  | { readonly type: "power"; readonly need: PowerNeed }
  | { readonly type: "restartAgent" }
  /** Nothing happens by itself before this instant; send `tick` then. */
  | { readonly type: "wake"; readonly atMs: number };

export interface Step {
  readonly state: ReconcileState;
  readonly effects: readonly ReconcileEffect[];
}
