// One agent with the vendor's own client and libwebrtc: logs in at a lab's Genesys Cloud counterpart, takes one call, and
// waits until the server terminates it. Usage: node agent.js GENESYS_URL TOKEN. Prints JSON lines; the last one has the
// event `ended` and says what was seen. Everything has the deadline below.
'use strict';

const DEADLINE_MS = 30000;
const [url, token] = process.argv.slice(2);
const host = url.replace('http://', '');

// The client is written for browsers; these are the globals that it uses.
const wrtc = require('@roamhq/wrtc');
// A browser takes a candidate that names its media line by mid alone; wrtc wants the number, too.
const numbered = (init) => ({ ...init, sdpMLineIndex: init.sdpMLineIndex ?? 0 });
class RTCIceCandidate extends wrtc.RTCIceCandidate {
  constructor(init) {
    super(numbered(init));
  }
}
class RTCPeerConnection extends wrtc.RTCPeerConnection {
  addIceCandidate(candidate) {
    return super.addIceCandidate(candidate instanceof wrtc.RTCIceCandidate ? candidate : numbered(candidate));
  }
}
const storage = new Map();
const browser = {
  addEventListener() {},
  removeEventListener() {},
  document: { addEventListener() {}, removeEventListener() {}, hidden: false },
  location: { href: 'http://localhost/', origin: 'http://localhost' },
  sessionStorage: {
    getItem: (key) => (storage.has(key) ? storage.get(key) : null),
    setItem: (key, value) => storage.set(key, String(value)),
    removeItem: (key) => storage.delete(key)
  },
  WebSocket: require('ws'),
  RTCPeerConnection,
  RTCSessionDescription: wrtc.RTCSessionDescription,
  RTCIceCandidate,
  MediaStream: wrtc.MediaStream,
  self: globalThis,
  window: globalThis
};
for (const [name, value] of Object.entries(browser)) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}
Object.defineProperty(globalThis, 'navigator', { value: { onLine: true, userAgent: 'node' }, configurable: true });
globalThis.localStorage = globalThis.sessionStorage;

// Calls in Jingle are made by stanza, the client's XMPP library: a bundle for browsers takes the global above, but in Node it
// has no RTCPeerConnection of its own, and without one it drops a `session-initiate` without a word.
const stanza = (path) => require(require.resolve(`stanza/${path}`, { paths: [require.resolve('genesys-cloud-streaming-client')] }));
stanza('platform/node').RTCPeerConnection = RTCPeerConnection;

// It says at length, on the console, that a host address of IPv6 cannot ask a STUN server of IPv4.
const { error: complain } = console;
console.error = (first, ...rest) => first === 'IceCandidateError' || complain(first, ...rest);

// The client builds https://api.HOST; the lab speaks plain HTTP on loopback.
const axios = require(require.resolve('axios', { paths: [require.resolve('genesys-cloud-streaming-client')] }));
axios.interceptors.request.use((config) => ({ ...config, url: config.url.replace(`https://api.${host}`, url) }));

const { StreamingClient, default: fallback } = require('genesys-cloud-streaming-client');
const Client = StreamingClient || fallback;

const seen = [];
// The client's own class of the session: one for SDP over XMPP, one for Jingle.
let kind = null;
// The lab's ICE user fragments: another one is a restart of ICE.
const ufrags = new Set();
const say = (event, more = {}) => process.stdout.write(JSON.stringify({ event, ...more }) + '\n');
const end = (reason, more = {}) => {
  say('ended', { reason, seen, session: kind, ufrags: ufrags.size, ...more });
  process.exit(reason === 'terminated' ? 0 : 1);
};
setTimeout(() => end('deadline'), DEADLINE_MS);
process.on('unhandledRejection', (error) => end('error', { detail: String(error && error.message) }));

const quiet = { debug() {}, info() {}, warn() {}, error() {}, log() {} };
const client = new Client({
  host: url.replace('http', 'ws'),
  apiHost: host,
  authToken: token,
  appName: 'interop',
  logger: quiet,
  optOutOfWebrtcStatsTelemetry: true
});

const source = new wrtc.nonstandard.RTCAudioSource();
const track = source.createTrack();
const samples = new Int16Array(480);
setInterval(() => source.onData({ samples, sampleRate: 48000, bitsPerSample: 16, channelCount: 1, numberOfFrames: 480 }), 10);

client.webrtcSessions.on('requestIncomingRtcSession', (session) => {
  seen.push('proposed');
  client.webrtcSessions.acceptRtcSession(session.sessionId);
});
client.webrtcSessions.on('rtcSessionError', (error) => end('error', { detail: String(error) }));
client.webrtcSessions.on('incomingRtcSession', async (session) => {
  seen.push('offered');
  kind = session.constructor.name;
  const connection = session.peerConnection || session.pc;
  connection.addEventListener('connectionstatechange', () => seen.push(connection.connectionState));
  session.on('terminated', (reason) => end('terminated', { condition: reason && reason.condition, packets: packets.received }));
  const packets = { received: 0 };
  setInterval(async () => {
    ufrags.add(/^a=ice-ufrag:(.*?)\r?$/m.exec(connection.remoteDescription.sdp)[1]);
    for (const report of (await connection.getStats()).values()) {
      if (report.type === 'inbound-rtp') packets.received = report.packetsReceived;
    }
  }, 100);
  // As the recorded client did: its own addTrack would only replace the track of a line that stays `recvonly`.
  connection.addTrack(track, new wrtc.MediaStream([track]));
  await session.accept();
});

client.connect().then(
  async () => {
    seen.push('connected to the stream');
    await client.notifications.subscribe('v2.users.user-' + token + '.conversations', () => seen.push('notified'), true);
    say('registered', { version: Client.version });
  },
  (error) => end('login failed', { detail: String(error && error.message) })
);
