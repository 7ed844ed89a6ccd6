/**
 * Who may ask: whoever has the token, from a page of this server, under one of its own names. A page elsewhere that a browser of this machine has open can
 * send requests here too, under a name of its own (DNS rebinding) or with this user's cookies.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

export const makeToken = (): string => randomBytes(24).toString('base64url');

export interface Refusal {
  readonly status: 401 | 403;
  readonly sentence: string;
}

export class Guard {
  readonly token: string;
  readonly #port: number;

  constructor(token: string, port: number) {
    this.token = token;
    this.#port = port;
  }

  /** Cookies are of a host, whatever the port: several pages need names of their own. */
  get cookie(): string {
    return `segfleet-${this.#port}=${this.token}; HttpOnly; SameSite=Strict; Path=/`;
  }

  /** @param given the token in the URL, if any */
  refusalOf({ headers }: IncomingMessage, given: string | null): Refusal | undefined {
    const hosts = ['127.0.0.1', 'localhost', '[::1]'].map(name => `${name}:${this.#port}`);
    if (!hosts.includes(headers.host ?? '')) return { status: 403, sentence: 'This page is only for this machine: open it at 127.0.0.1.' };
    const isOwn = headers.origin === undefined || headers.origin === `http://${headers.host}`;
    const site = headers['sec-fetch-site'];
    const isNear =
      site === undefined || site === 'same-origin' || site === 'none' || (given !== null && headers['sec-fetch-mode'] === 'navigate');
    if (!isOwn || !isNear) return { status: 403, sentence: 'Asked from another page, which is not allowed.' };
    const bearer = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1];
    const cookies = (headers.cookie ?? '').split(/;\s*/);
    const inCookie = cookies.find(cookie => cookie.startsWith(`segfleet-${this.#port}=`))?.replace(/^[^=]*=/, '');
    if ([given, bearer, inCookie].some(one => one != null && this.#isToken(one))) return undefined;
    return { status: 401, sentence: 'The token is missing or wrong: open the whole address that `segfleet ui` printed.' };
  }

  #isToken(given: string): boolean {
    const [a, b] = [Buffer.from(given), Buffer.from(this.token)];
    return a.length === b.length && timingSafeEqual(a, b);
  }
}

/** Nothing from elsewhere, nothing inline, in no frame. */
export const securityHeaders: Readonly<Record<string, string>> = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
};
