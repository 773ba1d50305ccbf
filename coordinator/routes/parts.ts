/**
 * What the routes work with; put together in main.ts.
 */
import type { KeyObject } from "node:crypto";
import type { Fleet } from "../../protocol/check-in.ts";
import type { IntentSettings } from "../core/intent/intent-settings.ts";
import type { CatalogShelf } from "../store/catalog-shelf.ts";
import type { ChoreBook } from "../store/chore-book.ts";
import type { FragmentFolder } from "../store/fragment-folder.ts";
import type { GateBook } from "../store/gate-book.ts";
import type { LineBook } from "../store/line-book.ts";
import type { IntentBook } from "../store/intent-book.ts";
import type { OriginBook } from "../store/origin-book.ts";
import type { PlanBook } from "../store/plan-book.ts";
import type { PresenceBook } from "../store/presence-book.ts";
import type { Records } from "../store/records.ts";
import type { SiteBook } from "../store/site-book.ts";
import type { StandingBook } from "../store/standing-book.ts";
import type { InTurn } from "../store/turns.ts";
import type { WakeBook } from "../store/wake-book.ts";
import type { OnlineKeys } from "../trust/fleet-keys.ts";

export interface Parts {
  readonly records: Records;
  readonly presence: PresenceBook;
  readonly plans: PlanBook;
  readonly intents: IntentBook;
  readonly chores: ChoreBook;
  readonly wakes: WakeBook;
  readonly settings: IntentSettings;
  readonly sites: SiteBook;
  readonly standing: StandingBook;
  readonly gate: GateBook;
  readonly lines: LineBook;
  readonly origins: OriginBook;
  readonly catalog: CatalogShelf;
  readonly fragments: FragmentFolder;
  /** Manifests by the digest of their exact bytes. */
  readonly manifests: FragmentFolder;
  /** Of what publishes or deletes content: what one has checked another must not take away. */
  readonly contentTurns: InTurn;
  readonly fleet: Fleet;
  readonly online: OnlineKeys;
  /** The director's key, ready to sign. */
  readonly director: KeyObject;
  readonly now: () => number;
}
