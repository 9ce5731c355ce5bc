// An authorization server of oidc-provider with a small API behind it, for the tests of logins.
//
//   node authorization.mjs http|https PORT FOLDER
//
// FOLDER has the keys and certificates that the test made; RESTWAY_TEST_PEERS names where the
// library is. `/items` is the API: numbered pages of ten, for the bearer of any token that lives.
// Each page moves this process's clock on by a second, so that tokens end while a walk goes on.
// `/seen` tells what happened here, `/replay` sends the last assertion again, and `/approve` does
// what a person would do with the code of a device.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import path from 'node:path';

const [scheme, port, folder] = process.argv.slice(2);
const from = createRequire(path.join(process.env.RESTWAY_TEST_PEERS, 'node', 'package.json'));
const { default: Provider } = await import(from.resolve('oidc-provider'));

const LIFE = 3;
const PAGES = 12;
let ahead = 0;
const trueNow = Date.now.bind(Date);
Date.now = () => trueNow() + ahead;

const file = (name) => readFileSync(path.join(folder, name));
const service = (id, method, more = {}) => ({
  client_id: id,
  token_endpoint_auth_method: method,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  ...more,
});
const signing = (alg) => ({
  token_endpoint_auth_signing_alg: alg,
  jwks: { keys: [JSON.parse(file(`${alg}.json`))] },
});
const services = () => [
  service('by-basic', 'client_secret_basic', { client_secret: 'a+secret of/basic' }),
  service('by-post', 'client_secret_post', { client_secret: 'a+secret of/post' }),
  service('by-es256', 'private_key_jwt', signing('ES256')),
  service('by-rs256', 'private_key_jwt', signing('RS256')),
  service('by-certificate', 'tls_client_auth', {
    tls_client_auth_subject_dn: 'CN=by-certificate',
    tls_client_certificate_bound_access_tokens: true,
  }),
];
const person = (id, grant, more) => ({
  client_id: id,
  token_endpoint_auth_method: 'none',
  application_type: 'native',
  grant_types: [grant, 'refresh_token'],
  ...more,
});
const persons = () => [
  person('browser', 'authorization_code', {
    redirect_uris: ['http://127.0.0.1/callback'],
    response_types: ['code'],
  }),
  person('device', 'urn:ietf:params:oauth:grant-type:device_code', {
    redirect_uris: [],
    response_types: [],
  }),
];

const provider = new Provider(`${scheme}://localhost:${port}`, {
  clients: scheme === 'https' ? services() : persons(),
  clientAuthMethods: [
    'client_secret_basic', 'client_secret_post', 'private_key_jwt', 'tls_client_auth', 'none',
  ],
  scopes: ['read', 'offline_access', 'refuse'],
  pkce: { required: () => true },
  cookies: { keys: ['a key of the test'] },
  ttl: { ClientCredentials: LIFE, AccessToken: LIFE, RefreshToken: 3600, Grant: 3600 },
  rotateRefreshToken: true,
  issueRefreshToken: async () => true,
  findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  interactions: { url: (_, interaction) => `/person/${interaction.uid}` },
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    revocation: { enabled: true },
    devInteractions: { enabled: false },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      tlsClientAuth: true,
      getCertificate: (ctx) => ctx.socket.getPeerX509Certificate(),
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) =>
        property === 'tls_client_auth_subject_dn'
        && expected === `CN=${ctx.socket.getPeerCertificate().subject.CN}`,
    },
  },
});

const seen = { granted: {}, refused: [], assertions: [], revoked: 0, renewals: 0, unauthorized: 0 };
let lastForm;
provider.on('grant.success', (ctx) => {
  const { grant_type: grant, client_assertion: assertion } = ctx.oidc.body;
  seen.granted[grant] = (seen.granted[grant] ?? 0) + 1;
  if (assertion) {
    seen.assertions.push(JSON.parse(Buffer.from(assertion.split('.')[1], 'base64url')).jti);
    lastForm = ctx.oidc.body;
  }
});
provider.on('grant.error', (_, error) => seen.refused.push(error.error));
provider.on('grant.revoked', () => { seen.revoked += 1; });

const json = (response, status, value) => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
};

/** The token of a request, if it lives and its certificate, if it has one, is the caller's. */
async function token(request) {
  const bare = (request.headers.authorization ?? '').replace(/^Bearer /, '');
  const found = await provider.ClientCredentials.find(bare) ?? await provider.AccessToken.find(bare);
  const bound = found?.['x5t#S256'];
  if (!found?.isValid || !bound) return found?.isValid ? found : undefined;
  const certificate = request.socket.getPeerX509Certificate();
  const { createHash } = await import('node:crypto');
  const own = certificate && createHash('sha256').update(certificate.raw).digest('base64url');
  return own === bound ? found : undefined;
}

async function items(request, response, url) {
  if (!await token(request)) {
    seen.unauthorized += 1;
    json(response, 401, { error: 'invalid_token' });
    return;
  }
  ahead += 1000;
  const page = Number(url.searchParams.get('page') ?? 1);
  const rows = page > PAGES ? [] : Array.from({ length: 10 }, (_, at) => ({ id: page * 10 + at }));
  json(response, 200, { items: rows });
}

/** Logs ada in and lets her allow what is asked for. */
async function interact(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (params.scope.includes('refuse')) {
    const result = { error: 'access_denied', error_description: 'ada does not want to' };
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
    return;
  }
  if (prompt.name === 'login') {
    await provider.interactionFinished(request, response, { login: { accountId: 'ada' } });
    return;
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const result = { consent: { grantId: await grant.save() } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

async function approve(response, url) {
  const code = await provider.DeviceCode.findByUserCode(url.searchParams.get('code').replace('-', ''));
  if (!code) {
    json(response, 404, {});
    return;
  }
  const { scope } = code.params;
  const grant = new provider.Grant({ accountId: 'ada', clientId: code.clientId });
  grant.addOIDCScope(scope);
  Object.assign(code, { accountId: 'ada', grantId: await grant.save(), scope });
  await code.save();
  json(response, 200, {});
}

function replay(response) {
  const options = { method: 'POST', port, path: '/token', rejectUnauthorized: false,
    headers: { 'content-type': 'application/x-www-form-urlencoded' } };
  const again = https.request(options, (answer) => {
    answer.resume();
    answer.on('end', () => json(response, 200, { status: answer.statusCode }));
  });
  again.end(new URLSearchParams(lastForm).toString());
}

const answer = (request, response) => {
  const url = new URL(request.url, provider.issuer);
  const failed = (error) => json(response, 500, { error: String(error) });
  if (url.pathname === '/items') items(request, response, url).catch(failed);
  else if (url.pathname === '/seen') json(response, 200, seen);
  else if (url.pathname === '/replay') replay(response);
  else if (url.pathname === '/approve') approve(response, url).catch(failed);
  else if (url.pathname.startsWith('/person/')) interact(request, response).catch(failed);
  else provider.callback()(request, response);
};
const tls = () => ({
  key: file('server.key'), cert: file('server.crt'), ca: file('ca.crt'),
  requestCert: true, rejectUnauthorized: false,
});
const server = scheme === 'https' ? https.createServer(tls(), answer) : http.createServer(answer);
server.listen(Number(port), '127.0.0.1');
