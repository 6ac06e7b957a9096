// SPDX-License-Identifier: Apache-2.0

import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;

/** Push URL - HttpURLConnection, used as client_java uses it; see clients.py for what it reads and says. */
public class Push {
    static void send(String base, String method, String job, int size) throws IOException {
        URL url = new URL(base + "/metrics/job/" + job + "/instance/db1/zone/eu");
        HttpURLConnection connection = (HttpURLConnection) url.openConnection();
        connection.setRequestProperty("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
        connection.setRequestMethod(method);
        if (!method.equals("DELETE")) {
            connection.setDoOutput(true);
        }
        connection.connect();
        try {
            if (!method.equals("DELETE")) {
                Writer out = new OutputStreamWriter(connection.getOutputStream(), StandardCharsets.UTF_8);
                out.write("# HELP rows " + "h".repeat(size) + "\n# TYPE rows gauge\nrows 3\n");
                out.close();
            }
            if (connection.getResponseCode() / 100 != 2) {
                throw new IOException("Response code was " + connection.getResponseCode());
            }
        } finally {
            connection.disconnect();
        }
    }

    public static void main(String[] args) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            try {
                send(args[0], words[0], words[1], Integer.parseInt(words[2]));
                System.out.println("ok");
            } catch (IOException e) {
                System.out.println("error " + e);
            }
        }
    }
}
