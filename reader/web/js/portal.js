// The portal's calls (docs/spec-portal.md), and the one kind of error that all modules throw.


/**
 * @typedef {{delivery: string, site: string, received_at: number, bytes: number, pieces: number, cover: string|null, twins?: {site: string, cover: string}[], measuring?: boolean}} Entry measuring: the site wants its images to be measured
 * @typedef {{user: string, level: 'device'|'list'|'link', keys: string|null, recovery?: string|null, deliveries: Entry[], full_percent?: number|null, hanging?: unknown, link: any}} Home
 * @typedef {'doctor'|'hospital'|'operator'|'us'} Who who must act
 */

/** Something was refused, or cannot be had now. `message` is for whoever looks closer; the page has words for each code. */
export class Refusal extends Error {
  /** @param {string} code @param {Who} who @param {number|null} [retryAfter] seconds @param {string} [words] */
  constructor(code, who, retryAfter = null, words = code) {
    super(words);
    this.code = code;
    this.who = who;
    this.retryAfter = retryAfter;
  }
}

/** Pause before the line of events is begun anew. */
const RECONNECT_MS = 5000;

export class Portal {
  /** @param {string} [origin] where the portal is; its own pages leave it out */
  constructor(origin = '') {
    this.#origin = origin;
  }

  /** @type {string} */
  #origin;

  /** @param {string} user @param {string} password @param {string} code @returns {Promise<Home>} */
  signInPassword(user, password, code) {
    return this.#json('POST', 'sign-in/password', { user, password, code });
  }

  /** @returns {Promise<{challenge: string, rp_id: string}>} */
  beginSignIn() {
    return this.#json('POST', 'sign-in/begin', {});
  }

  /** @param {Record<string, string|null>} answer of the authenticator @returns {Promise<Home>} */
  finishSignIn(answer) {
    return this.#json('POST', 'sign-in/finish', answer);
  }

  /** @returns {Promise<void>} */
  async signOut() {
    await this.#call('POST', 'sign-out', '{}', 'application/json');
  }

  /** @returns {Promise<Home>} */
  home() {
    return this.#json('GET', 'home');
  }

  /** @param {boolean} [idle] nobody touches the page: it is no sign that the doctor is there @returns {Promise<{deliveries: Entry[], uid_validity: number, full_percent?: number|null}>} */
  deliveries(idle = false) {
    return this.#json('GET', idle ? 'deliveries?idle=1' : 'deliveries');
  }

  /** @returns {Promise<any[]>} */
  async devices() {
    const devices = await this.#json('GET', 'devices');
    return Array.isArray(devices) ? devices : devices.devices;
  }

  /** @param {string} credential @returns {Promise<void>} */
  async removeDevice(credential) {
    await this.#call('DELETE', `devices/${encodeURIComponent(credential)}`);
  }

  /** @returns {Promise<any>} PublicKeyCredentialCreationOptions as JSON */
  beginDevice() {
    return this.#json('POST', 'devices/begin', {});
  }

  /** @param {{credential: string, client_data: string, attestation: string, name: string}} made @returns {Promise<void>} */
  async finishDevice(made) {
    await this.#json('POST', 'devices/finish', made);
  }

  /** @param {string} credential @param {Uint8Array} blob @param {string} identity hex SHA-256 of the identity @returns {Promise<void>} */
  async putKeys(credential, blob, identity) {
    await this.#call('PUT', `keys/${encodeURIComponent(credential)}?identity=${identity}`, blob);
  }

  /**
   * Octets of all ranges, one after the other. @param {string} delivery @param {number[][]} ranges [piece, offset, length]
   * @param {AbortSignal} signal @returns {Promise<ReadableStream<Uint8Array>>}
   */
  async ranges(delivery, ranges, signal) {
    const path = `deliveries/${delivery}/ranges`;
    const answer = await this.#call('POST', path, JSON.stringify({ ranges }), 'application/json', signal);
    if (!answer.body) throw new Refusal('link_lost', 'doctor');
    return answer.body;
  }

  /** @param {string} delivery @param {string} kind @param {string} recipient 16 hex digits @param {string} site @param {Uint8Array} der */
  async postReceipt(delivery, kind, recipient, site, der) {
    await this.#call('POST', `deliveries/${delivery}/receipts/${kind}?recipient=${recipient}&site=${encodeURIComponent(site)}`, der);
  }

  /** @param {string} invitation @param {string} site @param {Uint8Array} request */
  async postEnrolment(invitation, site, request) {
    await this.#call('POST', `enrolments/${invitation}?site=${encodeURIComponent(site)}`, request);
  }

  /** @param {string} invitation @param {string} site @returns {Promise<string[]>} base64 of each confirmation */
  async confirmations(invitation, site) {
    return (await this.#json('GET', `enrolments/${invitation}?site=${encodeURIComponent(site)}`)).messages;
  }

  /** @param {string} id @param {string} site @param {Uint8Array} renewal */
  async postRenewal(id, site, renewal) {
    await this.#call('POST', `renewals/${id}?site=${encodeURIComponent(site)}`, renewal);
  }

  /** @param {string} link @returns {Promise<any>} */
  link(link) {
    return this.#json('GET', `links/${link}`);
  }

  /** @param {string} link @param {string} proof base64 @returns {Promise<{statement: string, deliveries: Entry[], hanging?: unknown}>} */
  openLink(link, proof) {
    return this.#json('POST', `links/${link}/open`, { proof });
  }

  /** @returns {Promise<{vapid_public: string, subscribed: boolean}>} */
  push() {
    return this.#json('GET', 'push');
  }

  /** @param {{endpoint: string, p256dh: string, auth: string}} subscription @returns {Promise<void>} */
  async subscribePush(subscription) {
    await this.#call('POST', 'push', JSON.stringify(subscription), 'application/json');
  }

  /** @returns {Promise<void>} */
  async unsubscribePush() {
    await this.#call('DELETE', 'push');
  }

  /**
   * Tells of changes until it is closed. The browser connects again where the line breaks, and gives up where the answer was another, without a word which:
   * it is asked for, and the line begun anew unless the session has ended.
   * @param {() => string} newest the newest delivery that is known: of a newer one it is told at once
   * @param {(name: 'cases'|'gone'|'lost'|'back') => void} onEvent @returns {() => void} closes
   */
  events(newest, onEvent) {
    let lost = false, closed = false, timer = 0;
    /** @type {EventSource} */
    let source;
    const connect = () => {
      source = new EventSource(`${this.#origin}/api/events?newest=${newest()}`);
      for (const name of /** @type {const} */ (['cases', 'gone'])) source.addEventListener(name, () => onEvent(name));
      source.addEventListener('error', () => {
        if (!lost) onEvent('lost');
        lost = true;
        if (source.readyState === EventSource.CLOSED) void this.deliveries(true).catch((error) => error.code).then(refused);
      });
      source.addEventListener('open', () => {
        if (lost) onEvent('back');
        lost = false;
      });
    };
    const refused = (/** @type {unknown} */ code) => {
      if (closed) return;
      if (code === 'signed_out') onEvent('gone');
      else timer = setTimeout(connect, RECONNECT_MS);
    };
    connect();
    return () => {
      closed = true;
      clearTimeout(timer);
      source.close();
    };
  }

  /** @param {string} method @param {string} path @param {unknown} [body] @returns {Promise<any>} */
  async #json(method, path, body) {
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const answer = await this.#call(method, path, sent, 'application/json');
    try {
      return await answer.json();
    } catch {
      throw new Refusal('link_lost', 'doctor');
    }
  }

  /**
   * @param {string} method @param {string} path @param {string|Uint8Array} [body] @param {string} [type] @param {AbortSignal} [signal]
   * @returns {Promise<Response>}
   */
  async #call(method, path, body, type = 'application/octet-stream', signal) {
    /** @type {Record<string, string>} */
    const headers = { 'X-Scanpost': '1' };
    if (body !== undefined) headers['Content-Type'] = type;
    let answer;
    try {
      const sent = /** @type {BodyInit|undefined} */ (body);
      answer = await fetch(`${this.#origin}/api/${path}`, { method, headers, body: sent, signal, credentials: 'same-origin', redirect: 'error' });
    } catch {
      throw new Refusal('link_lost', 'doctor');
    }
    if (answer.ok) return answer;
    const { error, who, retry_after } = await answer.json().catch(() => ({}));
    throw new Refusal(error ?? 'ours', who ?? 'operator', retry_after ?? null);
  }
}

