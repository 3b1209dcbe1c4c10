// A browser softphone for one call over plain JSON signaling (src/signaling/json.rs).
//
// `new Softphone(options)`, then `await ready()` (the answerer is registered) and `await ended()`: an object with the fields of
// softphones/ending.py, and `reason` where the call failed. Every wait has a deadline; the connection, the microphone and the
// socket are closed in every case.
"use strict";

const ACCOUNTS = {
  packetsSent: 0, bytesSent: 0, packetsReceived: 0, bytesReceived: 0, packetsLost: 0,
  socketDrops: 0, packetsSkipped: 0, jitter: 0, rtcpSent: 0, rtcpReceived: 0,
};

const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

const pcmu = () => RTCRtpReceiver.getCapabilities("audio").codecs.find((codec) => codec.mimeType === "audio/PCMU");

/** `promise`, or an error that says what did not happen within `seconds`. */
async function within(seconds, what, promise) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`${what} not within ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Signaling messages in order; candidates go straight to `oncandidate`. */
class Signaling {
  constructor(url, note) {
    this.note = note;
    this.arrived = [];
    this.readers = [];
    this.oncandidate = () => {};
    this.socket = new WebSocket(url);
    this.open = new Promise((done, fail) => {
      this.socket.onopen = done;
      this.socket.onerror = () => fail(new Error(`cannot open ${url}`));
    });
    this.socket.onmessage = (event) => this.take(JSON.parse(event.data));
    this.socket.onclose = (event) => this.take({ type: "socket closed", code: event.code, cause: event.reason });
  }

  take(message) {
    if (message.type === "candidate") {
      this.note(`got candidate '${message.candidate.candidate}'`);
      this.oncandidate(message.candidate);
    } else if (message.type === "ping") {
      this.send({ type: "pong" });
    } else {
      this.note(`got ${message.type}`);
      const reader = this.readers.shift();
      reader ? reader(message) : this.arrived.push(message);
    }
  }

  send(message) {
    this.note(`sent ${message.type}`);
    this.socket.send(JSON.stringify(message));
  }

  async expect(type, seconds) {
    const next = this.arrived.length
      ? Promise.resolve(this.arrived.shift())
      : new Promise((done) => this.readers.push(done));
    const message = await within(seconds, `'${type}' message`, next);
    if (message.type !== type) {
      throw new Error(`expected '${type}', got ${JSON.stringify(message).slice(0, 300)}`);
    }
    return message;
  }
}

class Softphone {
  constructor(options) {
    this.options = options;
    this.started = performance.now();
    this.report = {
      state: "new", codec: null, packetsSent: 0, packetsReceived: 0, packetsLost: 0,
      heard: null, remoteCandidateType: null, peerAccounts: null, seen: [],
    };
    const iceServers = options.stun ? [{ urls: options.stun }] : [];
    this.connection = new RTCPeerConnection({ iceServers });
    this.connection.onconnectionstatechange = () => this.stateChanged();
    this.connection.onicecandidateerror = (event) => this.note(`candidate error ${event.errorCode} ${event.errorText}`);
    this.connection.ontrack = (event) => this.trackCame(event);
    this.settled = new Promise((done) => { this.settle = done; });
    this.signaling = new Signaling(options.signaling, (text) => this.note(text));
    this.remoteCandidates = [];
    this.signaling.oncandidate = (candidate) => this.addCandidate(candidate);
  }

  note(text) {
    this.report.seen.push(`${Math.round(performance.now() - this.started)} ms ${text}`);
  }

  /** Resolves when the microphone is there and, for an answerer, the name is registered. */
  async ready() {
    await within(10, "signaling socket", this.signaling.open);
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const video = this.options.film && { width: 320, height: 240 };
    this.microphone = await within(10, "microphone", navigator.mediaDevices.getUserMedia({ audio, video }));
    if (this.options.answerAs) {
      this.signaling.send({ type: "register", name: this.options.answerAs });
      await this.signaling.expect("registered", 5);
    }
  }

  /** Carries the call to its end. */
  async ended() {
    try {
      await (this.options.answerAs ? this.answer() : this.call());
    } catch (error) {
      this.report.reason = String(error.message ?? error);
    } finally {
      this.report.state = this.lastState ?? this.connection.connectionState;
      this.connection.close();
      this.microphone?.getTracks().forEach((track) => track.stop());
      this.signaling.socket.close();
    }
    return this.report;
  }

  async call() {
    const call = crypto.randomUUID();
    if (this.options.video) this.connection.addTransceiver("video");
    if (this.options.film) {
      this.useCamera();
      this.connection.createDataChannel("chat");
    }
    this.useMicrophone();
    this.trickle(call);
    await this.connection.setLocalDescription();
    await this.gathered();
    this.signaling.send({ type: "offer", call, to: this.options.call, sdp: this.connection.localDescription.sdp });
    this.startTrickle();
    const answer = await this.signaling.expect("answer", 15);
    await this.describeRemote({ type: "answer", sdp: answer.sdp });
    await this.connected();
    await this.talk();
    await this.hush();
    this.signaling.send({ type: "bye", call, media: await this.count() });
    await this.settleAccounts(await this.signaling.expect("bye", 5));
  }

  async answer() {
    const offer = await this.signaling.expect("offer", this.options.deadlineS);
    await this.describeRemote({ type: "offer", sdp: offer.sdp });
    this.useMicrophone();
    if (this.options.film) this.useCamera();
    this.trickle(offer.call);
    await this.connection.setLocalDescription();
    await this.sendOnlyPreferred();
    await this.gathered();
    this.signaling.send({ type: "answer", call: offer.call, sdp: this.connection.localDescription.sdp });
    this.startTrickle();
    await this.connected();
    const bye = await this.signaling.expect("bye", this.options.deadlineS);
    await this.hush();
    await this.settleAccounts(bye);
    this.signaling.send({ type: "bye", call: offer.call, media: await this.count() });
  }

  /** Joins the offered video line, or makes one. */
  useCamera() {
    this.connection.addTrack(this.microphone.getVideoTracks()[0], this.microphone);
  }

  useMicrophone() {
    const [track] = this.microphone.getAudioTracks();
    const isAudio = (transceiver) => transceiver.receiver.track.kind === "audio";
    const offered = this.options.answerAs && this.connection.getTransceivers().find(isAudio);
    if (offered) {
      offered.direction = "sendrecv";
      this.transceiver = offered;
      this.sending = offered.sender.replaceTrack(track);
    } else {
      this.transceiver = this.connection.addTransceiver(track, { streams: [this.microphone] });
    }
    if (this.options.codec === "pcmu") this.transceiver.setCodecPreferences([pcmu()]);
  }

  /**
   * Codec preferences are about receiving: as answerer the browser goes on to send the offer's favourite (Opus), although its
   * answer does not have it. The encoding's own codec is what it sends.
   */
  async sendOnlyPreferred() {
    if (this.options.codec !== "pcmu") return;
    const parameters = this.transceiver.sender.getParameters();
    parameters.encodings[0].codec = pcmu();
    await this.transceiver.sender.setParameters(parameters);
  }

  /** Candidates wait until the SDP they belong to has been sent; without trickle they are only part of the SDP. */
  trickle(call) {
    const held = [];
    let deliver = (candidate) => held.push(candidate);
    this.startTrickle = () => {
      deliver = (candidate) => this.options.trickle && this.signaling.send({ type: "candidate", call, candidate });
      held.forEach(deliver);
    };
    this.connection.onicecandidate = ({ candidate }) => {
      if (candidate === null) {
        deliver({ candidate: "", sdpMid: "0", sdpMLineIndex: 0, usernameFragment: null });
      } else if (candidate.candidate) {
        deliver(candidate.toJSON());
      }
    };
  }

  async gathered() {
    if (this.options.trickle) return;
    const complete = new Promise((done) => {
      const look = () => this.connection.iceGatheringState === "complete" && done();
      this.connection.onicegatheringstatechange = look;
      look();
    });
    await within(10, "gathering", complete);
  }

  async describeRemote(description) {
    await this.connection.setRemoteDescription(description);
    const early = this.remoteCandidates;
    this.remoteCandidates = null;
    for (const candidate of early) await this.addCandidate(candidate);
  }

  async addCandidate(candidate) {
    if (this.remoteCandidates !== null) {
      this.remoteCandidates.push(candidate);
      return;
    }
    try {
      await this.connection.addIceCandidate(candidate);
    } catch (error) {
      this.note(`candidate refused: ${error.message}`);
    }
  }

  stateChanged() {
    const state = this.connection.connectionState;
    this.lastState = state;
    this.note(`connectionState ${state}`);
    if (state === "connected" || state === "failed") this.settle();
  }

  /** What comes is played, so that it is decoded and its energy is measured. */
  trackCame(event) {
    if (event.track.kind !== "audio") return;
    this.report.heard = false;
    document.getElementById("loudspeaker").srcObject = new MediaStream([event.track]);
  }

  async connected() {
    await within(15, "connectionState connected", this.settled);
    if (this.lastState !== "connected") throw new Error(`connectionState ${this.lastState} instead of connected`);
  }

  /** Holds the call, and longer where the packets asked for are late. */
  async talk() {
    const giveUp = performance.now() + this.options.holdS * this.options.patience * 1000;
    await pause(this.options.holdS);
    while (performance.now() < giveUp) {
      const { packetsSent, packetsReceived } = await this.count();
      if (Math.min(packetsSent, packetsReceived) >= this.options.packets) return;
      await pause(0.1);
    }
  }

  /** Stops sending after the current packet. */
  async hush() {
    await this.transceiver.sender.replaceTrack(null);
    await pause(0.1);
    await this.count();
  }

  /** Waits, at most 500 ms, until everything that the other side says it sent has come. */
  async settleAccounts(bye) {
    this.report.peerAccounts = bye.media ?? null;
    const giveUp = performance.now() + 500;
    while ((await this.count()).packetsReceived < (bye.media?.packetsSent ?? 0) && performance.now() < giveUp) {
      await pause(0.02);
    }
  }

  /** Accounts by getStats, also kept in the report. */
  async count() {
    const media = { ...ACCOUNTS };
    const stats = await this.connection.getStats();
    stats.forEach((entry) => {
      if (entry.type === "outbound-rtp" && entry.kind === "audio") {
        media.packetsSent = entry.packetsSent;
        media.bytesSent = entry.bytesSent + entry.headerBytesSent;
        this.report.codec = stats.get(entry.codecId)?.mimeType.replace("audio/", "").toLowerCase() ?? this.report.codec;
      } else if (entry.type === "inbound-rtp" && entry.kind === "audio") {
        media.packetsReceived = entry.packetsReceived;
        media.bytesReceived = entry.bytesReceived + entry.headerBytesReceived;
        media.packetsLost = entry.packetsLost;
        media.jitter = entry.jitter;
        this.report.heard = this.report.heard || entry.totalAudioEnergy > 0;
      } else if (entry.type === "transport" && entry.selectedCandidatePairId) {
        const pair = stats.get(entry.selectedCandidatePairId);
        this.report.remoteCandidateType = stats.get(pair?.remoteCandidateId)?.candidateType ?? this.report.remoteCandidateType;
      }
    });
    this.report.packetsSent = media.packetsSent;
    this.report.packetsReceived = media.packetsReceived;
    this.report.packetsLost = media.packetsLost;
    return media;
  }
}
