// One phone with JsSIP and libwebrtc: registers, then places a call or answers one, restarts ICE where it is to, and waits for the
// end. Usage: node phone.js URL USER PASSWORD (call TARGET | answer) [restart] [listen] [hang-up]. With `listen` it looks for DTMF in
// what libwebrtc plays. Prints JSON lines; the last one has the event `ended` and says what was seen. Everything has the deadline below.
'use strict';

const DEADLINE_MS = 40000;
const [url, user, password, mode, ...rest] = process.argv.slice(2);
const target = mode === 'call' ? rest.shift() : null;
const restarts = rest.includes('restart');
const hangsUp = rest.includes('hang-up');
const listens = rest.includes('listen');

// JsSIP is written for browsers; these are the globals that it uses.
const wrtc = require('@roamhq/wrtc');
const globals = {
  WebSocket: require('ws'),
  RTCPeerConnection: wrtc.RTCPeerConnection,
  RTCSessionDescription: wrtc.RTCSessionDescription,
  RTCIceCandidate: wrtc.RTCIceCandidate,
  MediaStream: wrtc.MediaStream,
  window: globalThis
};
for (const [name, value] of Object.entries(globals)) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}
Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'node' }, configurable: true });

const JsSIP = require('jssip');
const { Ear } = require('./ear.js');
const seen = [];
const say = (event, more = {}) => process.stdout.write(JSON.stringify({ event, ...more }) + '\n');
let packets = 0;
let afterRestart = 0;
const ear = new Ear();
const end = (reason, more = {}) => {
  say('ended', { reason, seen, packets, afterRestart, tones: ear.tones, version: JsSIP.version, ...more });
  process.exit(reason === 'ended' ? 0 : 1);
};
setTimeout(() => end('deadline'), DEADLINE_MS);
process.on('unhandledRejection', (error) => end('error', { detail: String(error && error.message) }));

const source = new wrtc.nonstandard.RTCAudioSource();
const track = source.createTrack();
const stream = new wrtc.MediaStream([track]);
const samples = new Int16Array(480);
setInterval(() => source.onData({ samples, sampleRate: 48000, bitsPerSample: 16, channelCount: 1, numberOfFrames: 480 }), 10);

const received = async (connection) => {
  let count = 0;
  for (const report of (await connection.getStats()).values()) {
    if (report.type === 'inbound-rtp') count += report.packetsReceived;
  }
  return count;
};
const until = async (holds) => {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 50));
};

const phone = new JsSIP.UA({
  sockets: [new JsSIP.WebSocketInterface(url)],
  uri: `sip:${user}@lab`,
  password,
  register_expires: 60
});
const media = { mediaStream: stream, pcConfig: { iceServers: [] } };

const follow = (session) => {
  const connection = () => session.connection;
  session.on('progress', () => seen.push('ringing'));
  session.on('reinvite', () => seen.push('reinvite'));
  session.on('update', () => seen.push('update'));
  session.on('failed', (event) => end('failed', { cause: event.cause }));
  session.on('ended', async (event) => end('ended', { cause: event.cause, by: event.originator }));
  session.on('newInfo', (event) => seen.push(`info ${event.originator}`));
  session.on('newDTMF', (event) => seen.push(`dtmf ${event.dtmf.tone}`));
  session.on('confirmed', async () => {
    seen.push('confirmed');
    const watched = setInterval(async () => {
      packets = await received(connection());
    }, 100);
    watched.unref();
    await until(() => packets > 50);
    if (listens) {
      const [receiver] = connection().getReceivers();
      new wrtc.nonstandard.RTCAudioSink(receiver.track).ondata = (sound) => ear.hear(sound);
    }
    say('heard');
    if (restarts) {
      await until(() => session.isReadyToReOffer());
      const renegotiated = await new Promise((resolve) => {
        session.renegotiate({ rtcOfferConstraints: { iceRestart: true } }, () => resolve(true));
      });
      seen.push(`restarted ${renegotiated}`);
      await until(() => ['connected', 'completed'].includes(connection().iceConnectionState));
      const before = await received(connection());
      await until(async () => (afterRestart = (await received(connection())) - before) > 50);
      say('restarted');
    }
    if (hangsUp) session.terminate();
  });
};

phone.on('registrationFailed', (event) => end('registration failed', { cause: event.cause }));
phone.on('newRTCSession', ({ originator, session }) => {
  follow(session);
  if (originator === 'remote') {
    seen.push('called');
    session.answer(media);
  }
});
phone.on('registered', () => {
  if (seen.includes('registered')) return;
  seen.push('registered');
  say('registered');
  if (mode === 'call') phone.call(`sip:${target}@lab`, media);
});
phone.start();
