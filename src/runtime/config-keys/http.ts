/** Keys of what listens to people and their programs, and of who may do what there. */
import { z } from 'zod'
import { advertised, duration, flag, host, key, optionalKey, origins, path, port, size } from '../config-forms.ts'

export const httpKeys = z.strictObject({
  host: key(host, {
    meaning: 'Address to serve clients, agents and the web page on',
    default: '127.0.0.1',
    aurora: '-ip',
  }),
  port: key(port, { meaning: 'Port for clients, agents and the web page', default: 8081, aurora: '-http_port' }),
  advertise: optionalKey(advertised, {
    meaning: 'Where clients and agents reach this node, if that differs from where it is bound',
    unset: 'what it is bound to',
    aurora: '-hostname',
  }),
  bodyMax: key(size('1KiB'), { meaning: 'Largest body of a request', default: '4MiB' }),
  requestTimeout: key(duration('1s'), {
    meaning: 'How long a client may take to send a request, body included, before the connection is closed',
    default: '1min',
  }),
  corsOrigins: key(origins, {
    meaning:
      'Origins of web pages of others that may use /api and /api/v1 from a browser; pages of any other origin may change nothing',
    default: [],
    aurora: '-enable_cors_for',
  }),
  tls: z.strictObject({
    certFile: optionalKey(path, {
      meaning:
        'Certificate of this node in PEM, for the host under which clients reach it, and behind it those between it and the CA; with keyFile, clients and agents are served https only; read at the start',
      unset: 'http, so passwords and tokens can be read on the way',
    }),
    keyFile: optionalKey(path, {
      meaning: 'Private key of that certificate in PEM, without a passphrase',
      unset: 'http; both of certFile and keyFile or none',
    }),
    caFile: optionalKey(path, {
      meaning: 'Certificates of the CAs by which the agent of this process knows https scheduler nodes, in PEM',
      unset: 'those that come with Node.js',
    }),
  }),
})

export const securityKeys = z.strictObject({
  file: optionalKey(path, {
    meaning:
      'File that says who may do what over HTTP (docs/operating/security.md); set it alike on all scheduler nodes',
    unset: 'anybody who reaches the port may do anything, so this node serves loopback addresses only',
    aurora: '-shiro_ini_path',
  }),
  allowUnsecured: key(flag, {
    meaning:
      'Whether this node serves addresses beyond loopback without security.file: only where others keep the port',
    default: false,
    aurora: '-http_authentication_mechanism',
  }),
})
