// An issuer of signed tokens, by oidc-provider, for the tests of who may what.
//
//   node issuer.mjs PORT
//
// RESTWAY_TEST_PEERS names where the library is. Services get tokens for the audience `shop` by
// their client credentials; `portal` signs with a key that is announced from the second set on, as
// an issuer does that rotates its keys. `/asked` tells how often the keys were asked for.
import { generateKeyPairSync } from 'node:crypto';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';

const [port] = process.argv.slice(2);
const from = createRequire(path.join(process.env.RESTWAY_TEST_PEERS, 'node', 'package.json'));
const { default: Provider } = await import(from.resolve('oidc-provider'));

const key = (kid, alg, kind, options) => ({
  ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }),
  kid, alg, use: 'sig',
});
const client = (id) => ({
  client_id: id,
  client_secret: 'a secret of the test',
  token_endpoint_auth_method: 'client_secret_post',
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
});
const algorithms = { clerk: 'ES256', guest: 'PS256', stray: 'RS256', portal: 'EdDSA' };
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: Object.keys(algorithms).map(client),
  jwks: { keys: [
    key('curve', 'ES256', 'ec', { namedCurve: 'P-256' }),
    key('pss', 'PS256', 'rsa', { modulusLength: 2048 }),
    key('rsa', 'RS256', 'rsa', { modulusLength: 2048 }),
    key('late', 'EdDSA', 'ed25519'),
  ] },
  enabledJWA: {
    idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'],
  },
  extraTokenClaims: (_, token) => (token.clientId === 'guest' ? {} : { groups: ['clerks'], tenant: 1 }),
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:shop',
      getResourceServerInfo: (_, __, one) => ({
        scope: 'read',
        audience: one.clientId === 'stray' ? 'somebody-else' : 'shop',
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: algorithms[one.clientId] } },
      }),
    },
  },
});

let asked = 0;
http.createServer((request, response) => {
  if (request.url === '/asked') return response.end(String(asked));
  if (request.url !== '/jwks') return provider.callback()(request, response);
  asked += 1;
  const end = response.end.bind(response);
  response.end = (body, ...rest) => {
    if (asked > 1 || body === undefined) return end(body, ...rest);
    const set = JSON.parse(String(body));
    const early = JSON.stringify({ keys: set.keys.filter((one) => one.kid !== 'late') });
    response.setHeader('content-length', Buffer.byteLength(early));
    return end(early, ...rest);
  };
  return provider.callback()(request, response);
}).listen(Number(port), '127.0.0.1');
