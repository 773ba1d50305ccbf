/**
 * The session's bearer text: given by check-ins, spent by everything else, renewed once when refused.
 */
import type { CheckInAnswer } from "../../protocol/check-in.ts";
import type {
  CoordinatorAnswer,
  CoordinatorClient,
  CoordinatorRequest,
} from "./coordinator-client.ts";

type SessionText = NonNullable<CheckInAnswer["session"]>;

export class Session {
  readonly #client: CoordinatorClient;
  #held: SessionText | undefined;
  #renew: (signal: AbortSignal) => Promise<void> = async () => undefined;

  constructor(client: CoordinatorClient) {
    this.#client = client;
  }

  /** Check-ins give sessions and are made with this class's client; the circle closes here, once. */
  onRenew(renew: (signal: AbortSignal) => Promise<void>): void {
    this.#renew = renew;
  }

  /** For the check-in: when the session held ends; 0 for none. */
  get notAfterMs(): number {
    return this.#held?.notAfterMs ?? 0;
  }

  accept(session: SessionText | undefined): void {
    if (session !== undefined) this.#held = session;
  }

  /** A request in the session's name; a 401 costs one check-in and one more try. */
  async request(request: CoordinatorRequest): Promise<CoordinatorAnswer> {
    if (this.#held === undefined) await this.#renew(request.signal);
    const used = this.#held;
    const answer = await this.#client.request(this.#authorised(request));
    if (answer.kind !== "refused" || answer.status !== 401) return answer;
    // Another request may have renewed it meanwhile.
    if (this.#held === used) {
      this.#held = undefined;
      await this.#renew(request.signal);
    }
    return this.#client.request(this.#authorised(request));
  }

  #authorised(request: CoordinatorRequest): CoordinatorRequest {
    const authorization = `Bearer ${this.#held?.bearer ?? ""}`;
    return { ...request, headers: { ...request.headers, authorization } };
  }
}
