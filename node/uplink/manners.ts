/**
 * What this node allows itself: upload slots by its own state, rates and hours by its settings and its site's
 * policy. Asked by the exchange and the origin, told by every check-in.
 */
import { setTimeout as pause } from "node:timers/promises";
import { parseTimeFrames } from "../../protocol/time-frame.ts";
import type { Sharing, SitePolicy, WastedBytes } from "../../protocol/traffic.ts";
import type { ExchangeManners } from "../content/ports.ts";
import { judgeSharing, WIRED_SLOTS } from "../core/peer-eligibility.ts";
import { RateLimit } from "../core/rate-limit.ts";
import { closedForMs, type TransferHours } from "../core/transfer-hours.ts";
import type { HostReading } from "./host-facts.ts";

export interface MannersSettings {
  /** Most that neighbours get of this node; by default half of a wired link. */
  readonly uploadBytesPerSec: number | undefined;
  /** Most that it takes, from anywhere. */
  readonly downloadBytesPerSec: number | undefined;
  /** Own hours for transfers over the line, in the host's zone. */
  readonly hours: string | undefined;
  readonly isSharingOff: boolean;
  readonly readHost: () => Promise<HostReading>;
  readonly isDp: () => boolean;
  /** The wall clock, for hours. */
  readonly now: () => number;
}

/** The rest is its user's. */
const LINK_SHARE = 0.5;
/** A closed line is looked at again after this long at the latest: it costs nobody a message. */
const CLOSED_MAX_MS = 5000;

export class Manners implements ExchangeManners {
  readonly #settings: MannersSettings;
  readonly #upload = new RateLimit(undefined);
  readonly #download: RateLimit;
  readonly #wasted = { corrupt: 0, duplicate: 0 };
  readonly #ownHours: readonly TransferHours[];
  #siteHours: readonly TransferHours[] = [];
  #sharing: Sharing = { uploadSlots: WIRED_SLOTS };
  #linkBytesPerSec: number | undefined;
  #siteUploadBytesPerSec: number | undefined;

  /** Throws INPUT_INVALID where the hours cannot be read. */
  constructor(settings: MannersSettings) {
    this.#settings = settings;
    this.#download = new RateLimit(settings.downloadBytesPerSec);
    this.#ownHours = hoursOf(settings.hours, ownZone());
    this.#setUpload();
  }

  /** Looks at the host again; before every check-in. */
  async refresh(): Promise<Sharing> {
    const facts = await this.#settings.readHost();
    const { isSharingOff: isOff, isDp } = this.#settings;
    this.#sharing = judgeSharing({ facts, isDp: isDp(), isOff });
    const isWired = facts.link === "wired";
    this.#linkBytesPerSec = isWired ? facts.linkBytesPerSec : undefined;
    this.#setUpload();
    return this.#sharing;
  }

  /** Takes the policy of the site that the node is at; undefined for none. */
  obey(policy: SitePolicy | undefined): void {
    this.#siteUploadBytesPerSec = policy?.peerUploadBytesPerSec;
    // The roster names the zone of all hours.
    this.#siteHours = policy?.zone === undefined ? [] : hoursOf(policy.hours, policy.zone);
    this.#setUpload();
  }

  get wastedBytes(): WastedBytes {
    return { ...this.#wasted };
  }

  get uploadSlots(): number {
    return this.#sharing.uploadSlots;
  }

  async upload(sizeBytes: number): Promise<void> {
    await waited(this.#upload, sizeBytes);
  }

  async download(sizeBytes: number): Promise<void> {
    await waited(this.#download, sizeBytes);
  }

  wasted(kind: keyof WastedBytes, sizeBytes: number): void {
    this.#wasted[kind] += sizeBytes;
  }

  /** How long no transfer over the line may begin. */
  lineClosedForMs(): number {
    const all = [...this.#ownHours, ...this.#siteHours];
    return closedForMs(all, this.#settings.now(), CLOSED_MAX_MS);
  }

  #setUpload(): void {
    const ofLink = this.#linkBytesPerSec === undefined ? [] : [this.#linkBytesPerSec * LINK_SHARE];
    const own = this.#settings.uploadBytesPerSec;
    const limits = [
      ...(own === undefined ? ofLink : [own]),
      ...(this.#siteUploadBytesPerSec === undefined ? [] : [this.#siteUploadBytesPerSec]),
    ];
    this.#upload.set(limits.length === 0 ? undefined : Math.min(...limits));
  }
}

async function waited(limit: RateLimit, sizeBytes: number): Promise<void> {
  const delayMs = limit.delayMs(sizeBytes, performance.now());
  // Nobody waits for a rate at the end of the process.
  if (delayMs >= 1) await pause(delayMs, undefined, { ref: false });
}

function hoursOf(text: string | undefined, zone: string): readonly TransferHours[] {
  return text === undefined ? [] : [{ frames: parseTimeFrames(text), zone }];
}

function ownZone(): string {
  return Temporal.Now.timeZoneId();
}
