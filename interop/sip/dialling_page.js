// The page of a browser that calls with JsSIP and dials by RTCDTMFSender; bundled by esbuild.
'use strict';

const JsSIP = require('jssip');

// Registers, calls `target`, dials `tones` as telephone events once a second was heard, hangs up; what was seen.
globalThis.dial = async ({ url, user, password, target, tones }) => {
  const mediaStream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const phone = new JsSIP.UA({
    sockets: [new JsSIP.WebSocketInterface(url)],
    uri: `sip:${user}@lab`,
    password,
    register_expires: 60
  });
  await new Promise((resolve, reject) => {
    phone.on('registered', resolve);
    phone.on('registrationFailed', (event) => reject(new Error(`registration: ${event.cause}`)));
    phone.start();
  });
  const session = phone.call(`sip:${target}@lab`, { mediaStream, pcConfig: { iceServers: [] } });
  await new Promise((resolve, reject) => {
    session.on('confirmed', resolve);
    session.on('failed', (event) => reject(new Error(`call: ${event.cause}`)));
  });
  const received = async () => {
    const reports = [...(await session.connection.getStats()).values()];
    return reports.filter((report) => report.type === 'inbound-rtp').reduce((sum, report) => sum + report.packetsReceived, 0);
  };
  while ((await received()) <= 50) await new Promise((resolve) => setTimeout(resolve, 50));
  const { dtmf } = session.connection.getSenders().find((sender) => sender.track);
  const played = [];
  const done = new Promise((resolve) => {
    dtmf.ontonechange = ({ tone }) => (tone === '' ? resolve() : played.push(tone));
  });
  session.sendDTMF(tones, { transportType: JsSIP.C.DTMF_TRANSPORT.RFC2833, duration: 100, interToneGap: 70 });
  await done;
  // The last packets are on their way.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const packets = await received();
  const ended = new Promise((resolve) => session.on('ended', resolve));
  session.terminate();
  const { originator, cause } = await ended;
  phone.stop();
  return { played: played.join(''), packets, by: originator, reason: 'ended', cause, version: JsSIP.version };
};
