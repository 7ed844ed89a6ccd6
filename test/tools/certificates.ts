/**
 * A certificate authority that lives as long as a test: whom it vouches for, a server of the test believes. Needs the program `openssl`.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Paths of two PEM files. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

export class CertificateAuthority {
  readonly certificate: string;
  readonly #folder: string;
  readonly #key: string;
  #issued = 0;

  /** @param folder its files lie here, the keys among them */
  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const own = this.#request('ca', { CN: ['test'] }, 'basicConstraints = critical, CA:TRUE');
    this.certificate = own.certificate;
    this.#key = own.key;
  }

  /** @param names host names and addresses under which it is reached */
  forServer(names: readonly string[]): Certificate {
    const listed = names.map(name => `${/^[\d.]+$/.test(name) ? 'IP' : 'DNS'}:${name}`).join(', ');
    return this.#issue({ CN: ['server'] }, `extendedKeyUsage = serverAuth\nsubjectAltName = ${listed}`);
  }

  /** Kubernetes reads the user's name and groups out of it. */
  forUser(user: string, groups: readonly string[]): Certificate {
    return this.#issue({ O: groups, CN: [user] }, 'extendedKeyUsage = clientAuth');
  }

  #issue(subject: Subject, extensions: string): Certificate {
    return this.#request(`issued-${++this.#issued}`, subject, extensions, ['-CA', this.certificate, '-CAkey', this.#key]);
  }

  #request(name: string, subject: Subject, extensions: string, by: readonly string[] = []): Certificate {
    const [settings, certificate, key] = ['cnf', 'crt', 'key'].map(ending => join(this.#folder, `${name}.${ending}`));
    writeFileSync(settings, `[req]\ndistinguished_name = subject\nx509_extensions = extensions\n[subject]\n[extensions]\n${extensions}\n`);
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    const files = ['-config', settings, '-keyout', key, '-out', certificate];
    execFileSync('openssl', ['req', '-x509', ...curve, ...files, '-days', '2', '-subj', written(subject), ...by], { stdio: 'pipe' });
    return { certificate, key };
  }
}

/** Attributes and their values. */
type Subject = Readonly<Record<string, readonly string[]>>;

const written = (subject: Subject): string =>
  Object.entries(subject)
    .flatMap(([attribute, values]) => values.map(value => `/${attribute}=${value.replace(/[\\/+]/g, '\\$&')}`))
    .join('');
