// Predict a face with an exported model. Needs onnxruntime and the header library nlohmann/json:
//   g++ -std=c++17 predict.cpp -I<onnxruntime>/include -L<onnxruntime>/lib -lonnxruntime -o predict
//   ./predict model.onnx
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <onnxruntime_cxx_api.h>

struct Box { double left, top, width, height; };
struct Photo { int width, height; std::vector<std::uint8_t> rgb; };
struct Crop { int width, height, channels; double margin; bool full_image; };
using Terms = std::vector<std::pair<int, double>>;

// The region to crop around a box, in pixels of the photo.
Box region(const Box& box, const Crop& crop) {
    double x = box.left + box.width / 2, y = box.top + box.height / 2;
    double wide = box.width * crop.margin, high = box.height * crop.margin;
    double proportion = double(crop.width) / crop.height;
    double width = std::max(wide, high * proportion), height = std::max(high, wide / proportion);
    return {x - width / 2, y - height / 2, width, height};
}

// For each new pixel its source pixels and their weights.
std::vector<Terms> weights(double start, double length, int source, int target) {
    double scale = length / target, reach = std::max(scale, 1.0);  // averages if it scales down
    std::vector<Terms> all(target);
    for (int index = 0; index < target; ++index) {
        double centre = start + (index + 0.5) * scale, sum = 0;
        for (int place = int(std::floor(centre - reach)); place <= int(std::ceil(centre + reach)); ++place) {
            double weight = std::max(0.0, 1 - std::abs(place + 0.5 - centre) / reach);
            all[index].emplace_back(std::clamp(place, 0, source - 1), weight);  // the border is repeated
            sum += weight;
        }
        for (auto& term : all[index]) term.second /= sum;
    }
    return all;
}

// The network's input, channels × height × width.
std::vector<float> network_input(const Photo& photo, const Box& box, const Crop& crop) {
    Box cut = region(box, crop);
    auto columns = weights(cut.left, cut.width, photo.width, crop.width);
    auto rows = weights(cut.top, cut.height, photo.height, crop.height);
    auto level = [&](int x, int y, int channel) {
        const std::uint8_t* pixel = &photo.rgb[3 * (std::size_t(y) * photo.width + x)];
        if (crop.channels == 3) return int(pixel[channel]);
        return (19595 * pixel[0] + 38470 * pixel[1] + 7471 * pixel[2] + 32768) >> 16;  // grey
    };
    std::vector<float> input;
    for (int channel = 0; channel < crop.channels; ++channel)
        for (int y = 0; y < crop.height; ++y)
            for (int x = 0; x < crop.width; ++x) {
                double sum = 0;
                for (auto [v, down] : rows[y])
                    for (auto [u, across] : columns[x]) sum += down * across * level(u, v, channel);
                input.push_back(float(std::round(sum) / 255 - 0.5));
            }
    return input;
}

// The made-up photo of 320 × 240 pixels; its face has the box {104, 66, 112, 112}.
Photo made_up_face() {
    const int ellipses[][5] = {{200, 160, 120, 60, 80}, {40, 137, 100, 10, 5}, {40, 183, 100, 10, 5},
                               {70, 137, 88, 15, 3},    {70, 183, 88, 15, 3},  {140, 160, 128, 9, 5},
                               {110, 160, 160, 22, 6}};
    Photo photo{320, 240, {}};
    for (int y = 0; y < photo.height; ++y)
        for (int x = 0; x < photo.width; ++x) {
            int level = 90;
            for (auto [grey, cx, cy, rx, ry] : ellipses) {
                double across = double(x - cx) / rx, down = double(y - cy) / ry;
                if (across * across + down * down < 1) level = grey;
            }
            for (int tenths : {10, 9, 8}) photo.rgb.push_back(std::uint8_t(level * tenths / 10));
        }
    return photo;
}

int main(int, char** arguments) {
    Ort::Env environment;
    Ort::SessionOptions options;
    options.AddConfigEntry("session.x64quantprecision", "1");  // exact sums of 8-bit weights
    Ort::Session session(environment, arguments[1], options);  // on Windows, a wide string
    Ort::AllocatorWithDefaultOptions allocator;
    auto text = session.GetModelMetadata().LookupCustomMetadataMapAllocated("keypoints", allocator);
    auto about = nlohmann::json::parse(text.get()).at("crop");
    Crop crop{about.at("width"), about.at("height"), about.at("channels"), about.at("margin"),
              about.at("source") == "image"};

    Photo photo = made_up_face();
    Box box{104, 66, 112, 112};
    if (crop.full_image) box = {0, 0, double(photo.width), double(photo.height)};
    auto input = network_input(photo, box, crop);
    std::array<std::int64_t, 4> shape{1, crop.channels, crop.height, crop.width};
    auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    auto images = Ort::Value::CreateTensor<float>(memory, input.data(), input.size(), shape.data(), shape.size());
    const char* inputs[] = {"images"};
    const char* outputs[] = {"points", "confidence"};  // without "confidence" for a model of coordinates
    auto found = session.Run(Ort::RunOptions{nullptr}, inputs, &images, 1, outputs, 2);
    const float* ratios = found[0].GetTensorData<float>();
    const float* confidence = found[1].GetTensorData<float>();

    Box cut = region(box, crop);
    auto x = [&](int point) { return ratios[2 * point] * cut.width + cut.left - 0.5; };
    auto y = [&](int point) { return ratios[2 * point + 1] * cut.height + cut.top - 0.5; };
    std::printf("first point (%.1f, %.1f)\n", x(0), y(0));
    std::printf("nose tip (%.1f, %.1f), confidence %.2f\n", x(30), y(30), confidence[30]);
}
